"""How each number was made, in sentences: only what this comparison used."""

from __future__ import annotations

from headrace.domain.comparison import Comparison, MetricComparison
from headrace.evaluation import wording

_METHODS = {
    "Wilson": "Interval of a rate: Wilson's score interval (1927).",
    "Wilson (bounded mean)": (
        "Interval of a mean whose lines hardly vary: Wilson's interval, which is conservative for "
        "scores between 0 and 1."
    ),
    "t": "Interval of a mean, or of a mean paired difference: Student's t.",
    "t with sparse guard": (
        "Interval of a difference that few lines show: Student's t with one imagined win and one "
        "imagined loss added, because rare losses are easily not seen at all (after Bonett and Price, 2012)."
    ),
    "Tango": "Interval of a difference of paired yes-or-no scores: Tango's score interval (1998).",
    "McNemar mid-p": (
        "p of paired yes-or-no scores: McNemar's test with mid-p, on the lines where the arms "
        "disagree (Fagerland, Lydersen and Laake, 2013)."
    ),
    "sign-flip permutation": (
        "p of paired graded scores: permutation of the signs of the differences (Fisher, 1935), exact for up "
        "to 26 differing lines and for grades, else within 1 % of p (Robinson, 1982)."
    ),
    "clustered Wilson": (
        "Interval of a rate over clusters: Wilson's interval at the effective number of lines that the design "
        "effect leaves."
    ),
    "clustered Tango": (
        "Interval of a difference of paired yes-or-no scores over clusters: Tango's interval at the effective number "
        "of lines."
    ),
    "CR2 t": (
        "Interval and p of a mean over clusters: Student's t with the cluster-robust standard error CR2, with the "
        "degrees of freedom that fit the sizes of the clusters (Bell and McCaffrey, 2002)."
    ),
    "CR2 t with sparse guard": (
        "Interval of a difference over clusters that few lines show: Student's t with the cluster-robust standard "
        "error CR2, with one imagined win and one imagined loss added."
    ),
    "clustered Tango score": (
        "p of paired yes-or-no scores over clusters: the score test that agrees with Tango's interval over clusters."
    ),
    "best set": (
        "Best set: arms of which no other is shown to be better, by the smallest one-sided p times the number of "
        "other arms (after Hsu, 1984)."
    ),
    "pass@k and pass^k": (
        "pass@k and pass^k: the chance that at least one, and that all, of k answers to a line pass, estimated without "
        "bias from all answers to the line (Chen et al., 2021; Yao et al., 2024) and averaged over lines."
    ),
    "margin tests": (
        "Margins: one-sided tests of superiority, non-inferiority and equivalence (two one-sided tests; Schuirmann, "
        "1987), each at half of alpha, so that they agree with the interval."
    ),
    "Newcombe 10": ("Interval of a difference of paired yes-or-no scores: Newcombe's method 10 (1998)."),
    "Clopper-Pearson": "Interval of a rate: Clopper and Pearson's exact interval (1934).",
    "empirical Bayes": (
        "Shrunken scores and the chance to be best: an empirical Bayes model that draws each mean towards the mean of "
        "all arms by the share of the spread that noise explains."
    ),
    "PPI++": (
        "Corrected by human labels: prediction-powered inference with the weight that gives the least variance "
        "(Angelopoulos, Duchi and Zrnic, 2023)."
    ),
    "PPI++ t, two pseudo-answers": (
        "Corrected by human labels: prediction-powered inference (Angelopoulos, Duchi and Zrnic, 2023) with Student's "
        "t and two imagined labelled answers, because few labels show few errors."
    ),
    "order statistics": "Interval of a latency percentile: two order statistics, free of any distribution.",
    "paired log-ratio t": (
        "Ratios of latency, cost and tokens: geometric mean of the per-line ratios, interval by "
        "Student's t on the log scale."
    ),
}

_ADJUSTMENTS = {
    "Holm": "p is adjusted with Holm's method (1979) over the arms within a metric: the chance of any false "
    "verdict is at most {alpha:g}.",
    "Benjamini-Hochberg": "p is adjusted with Benjamini and Hochberg's method (1995): the expected share of "
    "false verdicts is at most {alpha:g}. This is an exploratory screen.",
    "none": "p is not adjusted for the number of arms.",
}

_GUARDRAILS = (
    "Guardrails: an arm is shipped only where each one is shown to hold, by its non-inferiority test. They are not "
    "adjusted for each other, because all must hold (an intersection-union test; Berger, 1982){arms}."
)


def method_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Sentences that say how the numbers of this comparison were made, in reading order."""
    provenance = comparison.provenance
    extras = [
        estimate.interval.method
        for metric in comparison.metrics
        for score in metric.scores
        for estimate in (score.shrunken, score.corrected)
        if estimate is not None and estimate.interval is not None
    ]
    used = {*provenance.methods, *extras}
    is_adjusted = provenance.family != "none"
    p_words = "the adjusted p" if is_adjusted else "p"
    sentences = [
        "Arms are paired line by line, by line id. Repeats of a line are averaged before anything else.",
        *(_METHODS[name] for name in _METHODS if name in used),
        *(f"Also used: {name}." for name in sorted(used - set(_METHODS))),
        _ADJUSTMENTS[provenance.adjustment].format(alpha=provenance.alpha),
        *(
            [_GUARDRAILS.format(arms=", but for the arms" if is_adjusted else "")]
            if comparison.guardrails
            else []
        ),
        "\N{LEFT DOUBLE QUOTATION MARK}Better\N{RIGHT DOUBLE QUOTATION MARK} and "
        f"\N{LEFT DOUBLE QUOTATION MARK}worse\N{RIGHT DOUBLE QUOTATION MARK} need both {p_words} and "
        "the interval; a large p alone never means that there is no difference.",
        "Line counts and detectable differences are for 80% power, with the disagreement between the arms "
        "taken at its 80% upper bound.",
        "Latency is that of executions that did not fail; tokens and cost are those of all.",
    ]
    return tuple(sentences)


def tries_sentence(metric: MetricComparison) -> str:
    """What several answers to a line are worth, per arm; empty where the scores have no tries."""
    found = {score.arm: score.tries for score in metric.scores if score.tries is not None}
    if not found:
        return ""
    k = next(iter(found.values())).k
    some = ", ".join(f"{arm} {wording.number(tries.pass_at_k)}" for arm, tries in found.items())
    every = ", ".join(f"{arm} {wording.number(tries.pass_hat_k)}" for arm, tries in found.items())
    return f"At least one of {k} answers to a line passes (pass@{k}): {some}. All do (pass^{k}): {every}."


def metric_facts(metric: MetricComparison) -> str:
    """One sentence on what kind of metric it is and how failures count."""
    spec = metric.spec
    kind = {"binary": "Yes or no per line", "graded": "Between 0 and 1 per line"}.get(
        spec.kind, "Without fixed limits"
    )
    text = f"{kind}; {spec.direction} is better."
    if spec.margin is not None:
        text += f" A difference within \N{PLUS-MINUS SIGN}{spec.margin:g} does not matter."
    if metric.failed_count_as is not None:
        text += f" A failed line counts as {metric.failed_count_as:g}."
    return text
