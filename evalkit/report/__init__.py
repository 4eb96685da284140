"""Figures and tables of measured results.

- `csv.py`: Rows of a result as a csv file, which appears when it is whole
- `html.py`: The page's style: readable in light and dark, on a phone and on paper
- `plain.py`: Results as JSON values: dictionaries, lists, strings and finite numbers
- `style.py`: Colours and text of all figures
- `text.py`: Formats numbers and names for pages, figures and terminals; a dash where there is no number
"""
