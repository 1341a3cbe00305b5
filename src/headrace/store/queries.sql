-- Every statement that stores run, by name. Each begins with its name and one line that says what it is for.
-- Parameters are written :name; the statements keep to SQL that SQLite and PostgreSQL share. Two habits serve PostgreSQL:
-- a parameter that may be NULL and is compared with nothing but NULL is cast to its type, and sums of counts are cast to
-- integers, which PostgreSQL would make decimal numbers.

-- name: schema_version
-- The number of the last migration that was applied.
SELECT MAX(version) AS version FROM schema_version;

-- name: record_migration
-- Record that a migration has been applied.
INSERT INTO schema_version (version, name, applied_at) VALUES (:version, :name, CAST(CURRENT_TIMESTAMP AS TEXT));

-- name: create_run
-- Record a new run with status Running; no row is changed when the name is taken.
INSERT INTO run (
    name, status, created_at, n_lines, flow_path, flow_name, flow_digest, data_path, data_digest,
    column_mapping, source_run, resume_from, variant, arm, model, chosen_model, connections, init, experiment,
    judgement, repeat, display_name, description, tags, properties, owner, heartbeat_at, environment_names,
    sources, flow_version, data_version, is_served
) VALUES (
    :name, :status, :created_at, :n_lines, :flow_path, :flow_name, :flow_digest, :data_path, :data_digest,
    :column_mapping, :source_run, :resume_from, :variant, :arm, :model, :chosen_model, :connections, :init,
    :experiment, :judgement, :repeat, :display_name, :description, :tags, :properties, :owner, :heartbeat_at,
    :environment_names, :sources, :flow_version, :data_version, :is_served
)
ON CONFLICT (name) DO NOTHING;

-- name: finish_run
-- Close a run with its status, metrics and aggregation results.
UPDATE run
SET status = :status, finished_at = :finished_at, metrics = :metrics, aggregation = :aggregation,
    problem = :problem
WHERE name = :name;

-- name: claim_run
-- Work on a run again under another owner; no row is changed when somebody else has claimed it meanwhile.
UPDATE run
SET status = :status, owner = :owner, heartbeat_at = :heartbeat_at, finished_at = NULL, problem = NULL
WHERE name = :name AND COALESCE(heartbeat_at, '') = COALESCE(:seen, '');

-- name: beat_run
-- Say that a run is worked on; no row is changed when it belongs to somebody else.
UPDATE run SET heartbeat_at = :heartbeat_at WHERE name = :name AND owner = :owner;

-- name: update_run
-- Change what is noted about a run; NULL leaves a value as it is.
UPDATE run
SET display_name = COALESCE(:display_name, display_name), description = COALESCE(:description, description),
    tags = COALESCE(:tags, tags), properties = COALESCE(:properties, properties),
    is_archived = COALESCE(:is_archived, is_archived)
WHERE name = :name;

-- name: read_run
-- One run with its totals, which are counted from its lines.
WITH total AS (
    SELECT
        SUM(CASE WHEN status = 'Completed' THEN 1 ELSE 0 END) AS n_completed,
        SUM(CASE WHEN status = 'Failed' THEN 1 ELSE 0 END) AS n_failed,
        CAST(SUM(calls) AS BIGINT) AS calls,
        CAST(SUM(prompt_tokens) AS BIGINT) AS prompt_tokens,
        CAST(SUM(completion_tokens) AS BIGINT) AS completion_tokens,
        CASE WHEN SUM(CASE WHEN calls > 0 AND cost_usd IS NULL THEN 1 ELSE 0 END) = 0 THEN SUM(cost_usd) END
            AS cost_usd
    FROM line
    WHERE run_id = (SELECT id FROM run WHERE name = :name)
)
SELECT run.*, total.* FROM run CROSS JOIN total WHERE run.name = :name;

-- name: list_runs
-- Runs with their totals, newest first, optionally of one experiment or over one source run.
WITH picked AS (
    SELECT * FROM run
    WHERE (CAST(:experiment AS TEXT) IS NULL OR experiment = :experiment)
        AND (CAST(:source_run AS TEXT) IS NULL OR source_run = :source_run)
        AND (CAST(:is_archived AS INTEGER) IS NULL OR is_archived = :is_archived)
    ORDER BY created_at DESC, id DESC
    LIMIT :limit
),
total AS (
    SELECT
        run_id,
        SUM(CASE WHEN status = 'Completed' THEN 1 ELSE 0 END) AS n_completed,
        SUM(CASE WHEN status = 'Failed' THEN 1 ELSE 0 END) AS n_failed,
        CAST(SUM(calls) AS BIGINT) AS calls,
        CAST(SUM(prompt_tokens) AS BIGINT) AS prompt_tokens,
        CAST(SUM(completion_tokens) AS BIGINT) AS completion_tokens,
        CASE WHEN SUM(CASE WHEN calls > 0 AND cost_usd IS NULL THEN 1 ELSE 0 END) = 0 THEN SUM(cost_usd) END
            AS cost_usd
    FROM line
    WHERE run_id IN (SELECT id FROM picked)
    GROUP BY run_id
)
SELECT picked.*, total.*
FROM picked LEFT JOIN total ON total.run_id = picked.id
ORDER BY picked.created_at DESC, picked.id DESC;

-- name: find_run
-- The row id of a run.
SELECT id FROM run WHERE name = :name;

-- name: run_names
-- All run names, for near misses.
SELECT name FROM run ORDER BY id;

-- name: delete_run
-- Delete a run; its lines and spans go with it.
DELETE FROM run WHERE name = :name;

-- name: delete_spans
-- Delete the spans of a run's lines that began before a time, and of the aggregation when all of them did.
DELETE FROM trace
WHERE run_id = :run_id AND spans <> :none AND (
    CAST(:started_before_ns AS BIGINT) IS NULL
    OR line_number IN (
        SELECT line_number FROM line WHERE run_id = :run_id AND start_ns < :started_before_ns
    )
    OR (
        line_number = -1
        AND NOT EXISTS (SELECT 1 FROM line WHERE run_id = :run_id AND start_ns >= :started_before_ns)
    )
);

-- name: append_line
-- Record what one line did, replacing what was recorded for it before.
INSERT INTO line (
    run_id, line_number, status, calls, prompt_tokens, completion_tokens, cost_usd, start_ns, end_ns, trace_id,
    inputs, outputs, problem, nodes, has_contents
) VALUES (
    :run_id, :line_number, :status, :calls, :prompt_tokens, :completion_tokens, :cost_usd, :start_ns, :end_ns,
    :trace_id, :inputs, :outputs, :problem, :nodes, :has_contents
)
ON CONFLICT (run_id, line_number) DO UPDATE SET
    status = excluded.status, calls = excluded.calls, prompt_tokens = excluded.prompt_tokens,
    completion_tokens = excluded.completion_tokens, cost_usd = excluded.cost_usd, start_ns = excluded.start_ns,
    end_ns = excluded.end_ns, trace_id = excluded.trace_id, inputs = excluded.inputs,
    outputs = excluded.outputs, problem = excluded.problem, nodes = excluded.nodes,
    has_contents = excluded.has_contents;

-- name: append_trace
-- Record the spans of one line, replacing those that were recorded for it before.
INSERT INTO trace (run_id, line_number, spans) VALUES (:run_id, :line_number, :spans)
ON CONFLICT (run_id, line_number) DO UPDATE SET spans = excluded.spans;

-- name: use_content
-- Record that a run refers to a content; it does until the run is deleted, even if the line is recorded again without.
INSERT INTO content_use (digest, run_id) VALUES (:digest, :run_id) ON CONFLICT (digest, run_id) DO NOTHING;

-- name: read_lines
-- The next lines of a run after a line number, in order, without spans.
SELECT * FROM line
WHERE run_id = :run_id AND line_number > :after
ORDER BY line_number
LIMIT :limit;

-- name: read_outcomes
-- What came out of the next lines of a run after a line number, in order; the nodes are for what cached results saved.
SELECT
    line_number, status, calls, prompt_tokens, completion_tokens, cost_usd, outputs, problem, nodes, has_contents
FROM line
WHERE run_id = :run_id AND line_number > :after
ORDER BY line_number
LIMIT :limit;

-- name: read_line
-- One line of a run, without spans.
SELECT * FROM line WHERE run_id = :run_id AND line_number = :line_number;

-- name: read_trace
-- The spans of one line.
SELECT spans FROM trace WHERE run_id = :run_id AND line_number = :line_number;

-- name: line_statuses
-- The status of every recorded line.
SELECT line_number, status FROM line WHERE run_id = :run_id;

-- name: keep_result
-- Keep the result of a node; one that is kept already stays.
INSERT INTO cached_result (
    key, run, line_number, node, calls, prompt_tokens, completion_tokens, cost_usd, duration_ns, made_ns, used_ns,
    logs, output, content_bytes
) VALUES (
    :key, :run, :line_number, :node, :calls, :prompt_tokens, :completion_tokens, :cost_usd, :duration_ns, :made_ns,
    :made_ns, :logs, :output, :content_bytes
)
ON CONFLICT (key) DO NOTHING;

-- name: use_cached_content
-- Record that a kept result refers to a content, until it is deleted.
INSERT INTO cached_content (key, digest) VALUES (:key, :digest) ON CONFLICT (digest, key) DO NOTHING;

-- name: use_result
-- Count the uses of a kept result.
UPDATE cached_result SET n_uses = n_uses + :n_uses, used_ns = :used_ns WHERE key = :key;

-- name: read_result
-- A kept result.
SELECT * FROM cached_result WHERE key = :key;

-- name: summarize_results
-- How many results are kept, how large they are and what they saved.
SELECT
    COUNT(*) AS n_results,
    CAST(SUM(LENGTH(output) + LENGTH(logs) + content_bytes) AS BIGINT) AS n_bytes,
    CAST(SUM(n_uses) AS BIGINT) AS n_uses,
    CAST(SUM(calls) AS BIGINT) AS calls,
    CAST(SUM(prompt_tokens) AS BIGINT) AS prompt_tokens,
    CAST(SUM(completion_tokens) AS BIGINT) AS completion_tokens,
    SUM(cost_usd) AS cost_usd,
    CAST(SUM(n_uses * (prompt_tokens + completion_tokens)) AS BIGINT) AS saved_tokens,
    MIN(made_ns) AS oldest_ns,
    MAX(made_ns) AS newest_ns
FROM cached_result;

-- name: drop_results
-- Delete the kept results that were neither made nor used since a time, or all of them.
DELETE FROM cached_result WHERE CAST(:unused_since_ns AS BIGINT) IS NULL OR used_ns < :unused_since_ns;

-- name: append_label
-- Keep what a person says about an answer.
INSERT INTO label (run_id, line_number, metric, value, labeller, is_random, at, note)
VALUES (:run_id, :line_number, :metric, :value, :labeller, :is_random, :at, :note);

-- name: read_labels
-- What people said about the answers of a run, oldest first.
SELECT line_number, metric, value, labeller, is_random, at, note FROM label WHERE run_id = :run_id ORDER BY id;

-- name: keep_file
-- Keep a file; it may be kept already.
INSERT INTO kept_file (digest, data) VALUES (:digest, :data) ON CONFLICT (digest) DO NOTHING;

-- name: read_file
-- A kept file.
SELECT data FROM kept_file WHERE digest = :digest;

-- name: find_file
-- Whether a file is kept.
SELECT 1 AS is_kept FROM kept_file WHERE digest = :digest;

-- name: keep_flow_version
-- Keep a version of a flow under the next number; no row is changed when it is kept already, or somebody took the number.
INSERT INTO flow_version (flow, number, digest, created_at, manifest)
SELECT
    CAST(:flow AS TEXT), COALESCE(MAX(number), 0) + 1, CAST(:digest AS TEXT), CAST(:created_at AS TEXT),
    CAST(:manifest AS TEXT)
FROM flow_version WHERE flow = :flow
ON CONFLICT DO NOTHING;

-- name: find_flow_version
-- A version of a flow by its digest.
SELECT * FROM flow_version WHERE flow = :flow AND digest = :digest;

-- name: list_flow_versions
-- Versions of all flows or of one, in order.
SELECT * FROM flow_version WHERE CAST(:flow AS TEXT) IS NULL OR flow = :flow ORDER BY flow, number;

-- name: move_tag
-- Put a tag on a version; no row is changed when it was moved by somebody else meanwhile.
INSERT INTO tag_move (flow, tag, move, number, digest, at) VALUES (:flow, :tag, :move, :number, :digest, :at)
ON CONFLICT DO NOTHING;

-- name: list_tag_moves
-- Where tags were put, of all flows or of one, oldest first.
SELECT * FROM tag_move WHERE CAST(:flow AS TEXT) IS NULL OR flow = :flow ORDER BY at, flow, tag, move;

-- name: keep_data_version
-- Keep a version of data under the next number; no row is changed when it is kept already, or somebody took the number.
INSERT INTO data_version (data, number, digest, n_lines, content, created_at, origin)
SELECT
    CAST(:data AS TEXT), COALESCE(MAX(number), 0) + 1, CAST(:digest AS TEXT), CAST(:n_lines AS BIGINT),
    CAST(:content AS TEXT), CAST(:created_at AS TEXT), CAST(:origin AS TEXT)
FROM data_version WHERE data = :data
ON CONFLICT DO NOTHING;

-- name: find_data_version
-- A version of data by its digest.
SELECT * FROM data_version WHERE data = :data AND digest = :digest;

-- name: list_data_versions
-- Versions of all data or of one file, in order.
SELECT * FROM data_version WHERE CAST(:data AS TEXT) IS NULL OR data = :data ORDER BY data, number;

-- name: find_data_file
-- The file that is kept of a version of data.
SELECT content FROM data_version WHERE data = :data AND number = :number AND content IS NOT NULL;

-- name: forget_data
-- Keep no file of a version of data any more.
UPDATE data_version SET content = NULL WHERE data = :data AND number = :number;

-- name: forget_file
-- Forget a kept file that no version has.
DELETE FROM kept_file WHERE digest = :digest
    AND NOT EXISTS (SELECT 1 FROM data_version WHERE content = :digest)
    AND NOT EXISTS (SELECT 1 FROM flow_version WHERE manifest LIKE :pattern);

-- name: keep_data_piece
-- Keep a piece of large data; a process that was killed may have kept it already, in another form.
INSERT INTO data_piece (content, place, file, digest) VALUES (:content, :place, :file, :digest)
ON CONFLICT (content, place) DO UPDATE SET file = excluded.file, digest = excluded.digest;

-- name: list_data_pieces
-- The pieces of large data in order.
SELECT file, digest FROM data_piece WHERE content = :content ORDER BY place;

-- name: forget_data_pieces
-- Forget the pieces of data that no version has.
DELETE FROM data_piece
WHERE NOT EXISTS (SELECT 1 FROM data_version WHERE data_version.content = data_piece.content);

-- name: create_experiment
-- Record a new experiment with status Running; no row is changed when its id is taken.
INSERT INTO experiment (id, name, status, created_at, rerun_of, owner, heartbeat_at, record)
VALUES (:id, :name, :status, :created_at, :rerun_of, :owner, :heartbeat_at, :record)
ON CONFLICT (id) DO NOTHING;

-- name: claim_experiment
-- Work on an experiment again, unless somebody has given it another heartbeat meanwhile.
UPDATE experiment SET status = :status, finished_at = NULL, owner = :owner, heartbeat_at = :at, record = :record
WHERE id = :id AND COALESCE(heartbeat_at, '') = COALESCE(CAST(:seen AS TEXT), '');

-- name: beat_experiment
-- Say that its owner still works on an experiment.
UPDATE experiment SET heartbeat_at = :at WHERE id = :id AND owner = :owner;

-- name: finish_experiment
-- Close an experiment.
UPDATE experiment SET status = :status, finished_at = :finished_at, verdict = :verdict
WHERE id = :id AND owner = :owner;

-- name: read_experiment
-- An experiment.
SELECT * FROM experiment WHERE id = :id;

-- name: list_experiments
-- Experiments, newest first.
SELECT * FROM experiment ORDER BY created_at DESC, id DESC;

-- name: move_evidence_end
-- Take the next places in the order of arrival; until the transaction ends, nobody else does.
UPDATE evidence_end SET last_place = last_place + :n_places;

-- name: read_evidence_end
-- The last place that is taken.
SELECT last_place FROM evidence_end;

-- name: append_evidence
-- Keep a record, unless it is kept already; feedback that names no test is about that of its exposure, once that is here.
INSERT INTO evidence (place, kind, id, test, request_id, exposure, record)
SELECT
    CAST(:place AS BIGINT), CAST(:kind AS TEXT), CAST(:id AS TEXT),
    CASE
        WHEN CAST(:test AS TEXT) <> '' THEN :test
        ELSE COALESCE(
            (SELECT test FROM evidence WHERE id = :exposure AND kind = 'exposure' ORDER BY place LIMIT 1), ''
        )
    END,
    CAST(:request_id AS TEXT), CAST(:exposure AS TEXT), CAST(:record AS TEXT)
WHERE TRUE
ON CONFLICT (id, kind, test) DO NOTHING;

-- name: find_awaited
-- Feedback that waited for one of the exposures behind a place, with the test of that.
SELECT feedback.place, exposure.test FROM evidence AS exposure
JOIN evidence AS feedback ON feedback.exposure = exposure.id AND feedback.test = ''
WHERE exposure.place > :after AND exposure.kind = 'exposure' AND NOT EXISTS (
    SELECT 1 FROM evidence AS first
    WHERE first.id = exposure.id AND first.kind = exposure.kind AND first.place < exposure.place
)
ORDER BY feedback.place;

-- name: settle_feedback
-- Let feedback that has found its test arrive now: readers of the test may be past the place where it waited.
UPDATE evidence SET test = :test, place = :new_place
WHERE place = :place AND NOT EXISTS (
    SELECT 1 FROM evidence AS known
    WHERE known.id = evidence.id AND known.kind = evidence.kind AND known.test = :test
);

-- name: read_arrivals
-- The next records of a test after a place, in order of arrival.
SELECT place, kind, test, record FROM evidence
WHERE test = :test AND place > :after
ORDER BY place
LIMIT :limit;

-- name: find_exposure
-- The exposure of the arm that answered a request.
SELECT kind, test, record FROM evidence WHERE request_id = :request_id ORDER BY place LIMIT 1;

-- name: append_revision
-- Make the next revision of a test; no row is changed when its number is not the next one.
INSERT INTO ab_revision (test, number, record)
SELECT CAST(:test AS TEXT), CAST(:number AS BIGINT), CAST(:record AS TEXT)
WHERE CAST(:number AS BIGINT) = (SELECT COALESCE(MAX(number), 0) + 1 FROM ab_revision WHERE test = :test)
ON CONFLICT (test, number) DO NOTHING;

-- name: latest_revision
-- The revision of a test that holds.
SELECT * FROM ab_revision WHERE test = :test ORDER BY number DESC LIMIT 1;

-- name: list_revisions
-- Revisions of a test, oldest first.
SELECT * FROM ab_revision WHERE test = :test ORDER BY number;

-- name: list_ab_tests
-- Names of the tests that have revisions.
SELECT DISTINCT test FROM ab_revision ORDER BY test;

-- name: delete_evidence
-- Delete a piece of what was recorded of a test.
DELETE FROM evidence
WHERE place IN (SELECT place FROM evidence WHERE test = :test ORDER BY place LIMIT :limit);

-- name: delete_revisions
-- Delete the revisions of a test.
DELETE FROM ab_revision WHERE test = :test;
