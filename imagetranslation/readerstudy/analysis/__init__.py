"""From the journals of a reader study and its sealed key to the report: tables, tests, figures, one HTML page.

`answers` collects, `gathering` decides what may be analysed at all, `plan` says which analysis is the primary, the
secondary or an exploratory one, the files named after kinds of question do the work with `readerstudy.statistics`,
and `page` and `figures` draw. No formula of statistics stands here.
"""
