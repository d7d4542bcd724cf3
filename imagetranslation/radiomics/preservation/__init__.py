"""Which features survive a translation, over a cohort: pairs of images to one table a question, and a report.

`pairs` reads which images belong together, `extracting` makes their features (with `perturbation` for the ceiling),
`longtable` joins them strictly, `statistics` and `resampling` compute, `clusters` finds twins, `cohort` puts it
together by the thresholds of `definitions`, `writing`, `figures` and `page` keep it. One patient at a time is left to
`radiomics.comparison`, the formulas of intraclass correlation to `readerstudy.statistics`, which work on plain arrays.
"""
