"""An outcome reward model of GSM8K's model solutions.

- `__main__.py`: An outcome reward model of real solutions: GSM8K's examples, every problem held out once,
  beside nulls
- `bodies.py`: Small bodies for worded sums: a Llama that has read GSM8K, or a pretrained one lengthened
  to fit it
- `config.py`: Settings of the outcome reward model of GSM8K's solutions
- `experiment.py`: The experiment on GSM8K's graded solutions: every fold held out once, beside baselines
- `figures.py`: The figure of the GSM8K experiment: what each scorer tells, with its interval
- `steps.py`: The steps of the GSM8K experiment: a body that has read worked problems, and a model and
  scores a fold
- `tables.py`: What scores of GSM8K's example solutions tell, beside what scores tell that understand none
  of them
"""
