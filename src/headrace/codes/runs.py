"""Codes of data (D), running (E), comparing (G) and the store of runs (S)."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

RUN_CODES: Mapping[str, Entry] = {
    "D401": Entry(
        "broken-line",
        "A line of data that cannot be read",
        "The line is not a JSON object, or does not have the columns of the header.",
    ),
    "D402": Entry(
        "empty-data", "Data without lines", "The data file holds no lines, so there is nothing to run."
    ),
    "D403": Entry(
        "unknown-column",
        "A column that does not exist",
        "A column mapping or an experiment names a column that the data or the run does not have.",
    ),
    "D404": Entry(
        "bad-mapping",
        "A column mapping that cannot be read",
        "Mappings have the form name=${data.column}, ${run.inputs.column}, ${run.outputs.column} or a fixed value.",
    ),
    "D405": Entry(
        "unknown-data-format",
        "A data file of unknown format",
        "Data is read from .jsonl, .csv, .tsv, .json and .parquet files.",
    ),
    "D406": Entry(
        "mapping-without-reference",
        "A mapping that reads no data",
        "At least one input must come from the data or from a run.",
    ),
    "D407": Entry(
        "unaligned-data",
        "Data that does not belong to the run",
        "Data and the run that is evaluated have different numbers of lines and nothing says which belong together.",
    ),
    "D408": Entry(
        "changed-data",
        "Data that changes while it is read",
        "Lines are read from the file as the run needs them, so the file must stay as it is until the run has ended.",
    ),
    "E601": Entry(
        "tool-failed",
        "A tool raised an exception",
        "The tool's own code failed; its traceback lines are shown.",
    ),
    "E602": Entry(
        "template-failed",
        "A template failed while rendering",
        "The template ran into an error with the values of this line.",
    ),
    "E603": Entry(
        "timed-out",
        "Something took longer than allowed",
        "A node, a line or a whole run ran into its time limit and was cut.",
    ),
    "E604": Entry(
        "not-serializable", "An output that cannot be written as JSON", "Flow outputs must be plain data."
    ),
    "E605": Entry(
        "chat-roles",
        "A chat prompt without roles",
        "A chat prompt must begin with a role line such as system: or user:.",
    ),
    "E606": Entry(
        "lines-failed",
        "Lines of the run failed",
        "The run is complete, but some lines ended with an error; each is recorded with its own.",
    ),
    # E607 was never raised; its number is not given again.
    "E608": Entry(
        "interrupted",
        "The run was interrupted",
        "Lines that were finished are recorded; the rest was not run.",
    ),
    "E609": Entry(
        "cap-reached",
        "A run that has spent what it may",
        "Lines in flight were finished and are recorded; no further one was taken.",
    ),
    "E610": Entry(
        "worker-died",
        "A worker process died",
        "A tool ended the whole process that ran it, twice for this line; no other line is touched.",
    ),
    "E611": Entry(
        "result-not-kept",
        "Results that cannot be used again",
        "A file that the tool's code names changed during the run, so nobody can say what its results depend on.",
    ),
    "G901": Entry(
        "unknown-metric",
        "A metric that no evaluation produces",
        "The named metric is not among the scores of the evaluation.",
    ),
    "G902": Entry(
        "nothing-to-compare",
        "Nothing to compare",
        "A comparison needs at least two arms that have scores for the same lines.",
    ),
    "G903": Entry(
        "bad-margin",
        "A margin that makes no sense",
        "A margin is a distance: it must be a number above zero.",
    ),
    "G904": Entry(
        "bad-label",
        "A human label that is no number",
        "What people say about answers is compared with scores, so it is a number, true or false, or an empty cell.",
    ),
    "G905": Entry(
        "unreadable-scores",
        "Scores that cannot be read",
        "Scores that are given come by arm and line, each line once or with its repeats numbered, as numbers.",
    ),
    "S801": Entry("unknown-run", "A run that does not exist", "The store has no run of this name."),
    "S802": Entry("run-exists", "A run of this name exists already", "Run names are unique within a store."),
    "S803": Entry(
        "store-failed",
        "The store cannot be read or written",
        "The database is out of reach, locked, full or damaged.",
    ),
    "S804": Entry("store-version", "A store of another version", "A newer headrace has written the store."),
    "S805": Entry(
        "no-trace", "A line without a record", "The run has no record of this line, or no spans of it."
    ),
    "S806": Entry(
        "file-exists", "A file is in the way", "The command would overwrite something that is there already."
    ),
    "S807": Entry(
        "spans-not-sent",
        "Spans that did not reach the collector",
        "The spans are kept with the run; sending them to the configured OTLP endpoint failed or was too slow.",
    ),
    "S808": Entry(
        "not-writable", "A file that cannot be written", "A connection file or a report is out of reach."
    ),
    "S809": Entry(
        "address-unavailable", "No way to listen there", "The port is taken, or the address is not ours."
    ),
    "S810": Entry(
        "run-not-ended",
        "A run that has not ended",
        "Another process may still be at work on the run, or it was killed and could not close it.",
    ),
    "S811": Entry(
        "not-resumable",
        "A run that cannot be gone on with",
        "The run does not know what data it was made with: it was read from a folder, or a server kept its requests.",
    ),
    "S812": Entry(
        "not-a-run-folder",
        "Not the folder of a run",
        "The folder does not hold the records of a run in prompt flow's layout.",
    ),
    "S814": Entry(
        "test-not-recorded",
        "Records of a test that could not be written",
        "The test itself is not touched; prompt flow's tools find no detail, output or log of it.",
    ),
    "S815": Entry(
        "no-snapshot",
        "An exported run without a copy of its flow",
        "The flow has changed since the run, or is gone, so what is there is not what ran.",
    ),
    "S816": Entry(
        "unknown-experiment",
        "An experiment that does not exist",
        "The store knows no experiment of this id or name, or it is of the other kind: with arms, or a chain of flows.",
    ),
    "S817": Entry(
        "refused-by-system",
        "The operating system refuses",
        "Permissions, a name that is too long, or a disk that is full or can only be read.",
    ),
    "S818": Entry("run-at-work", "A run that another process works on", "A run has one owner at a time."),
    "S819": Entry(
        "run-changed",
        "A run or an experiment whose flow or data have changed",
        "A run is resumed only as it was made, so that its result is that of a run that was never interrupted.",
    ),
    "S820": Entry(
        "run-ended",
        "A run that has come to its end",
        "All its lines are recorded; nothing is left to go on with.",
    ),
}
