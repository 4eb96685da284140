"""The page on which people answer, and the admin view: HTTP, guards, and text that cannot act.

- `admin_page.py`: The admin view's pages: the figures of a study, and the tasks on which people disagree
- `admin_routes.py`: The admin view's routes: signing in by this server's own token, the figures, the
  disagreements
- `admin_words.py`: Answers and figures in words, and as bars, for the admin view
- `annotator_routes.py`: An annotator's routes: signing in, the task in hand, and what its page posts
- `app.py`: The page's web application: guards, then an annotator's routes, the admin view and the static
  files
- `figure_rows.py`: The rows of the admin view's tables: figures in words and as bars, or why there are
  none
- `guards.py`: Middleware of every route: headers, known hosts, own origin, JSON only, bodies of a bounded
  size
- `markdown.py`: A Markdown parser without HTML, images or hidden text, that knows formulas
- `mathematics.py`: LaTeX formulas as MathML of a few elements and attributes, or None where one is
  refused
- `page.py`: The annotator's page, blind: without systems, ids and known answers
- `posting.py`: What a page posts, read strictly: known fields, finite numbers, texts that every database
  can hold
- `reach.py`: How people reach the page: the names that are this server's own, and the links that lead to
  it
- `rendering.py`: Markdown, code and formulas as HTML that is safe in the page, whatever the text holds
- `sign_in.py`: Who a request comes from: the personal link and its cookie, and the proof that a post is
  meant
"""
