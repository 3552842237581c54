"""gan-bench eval: evaluate finished runs under another protocol; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli import options as shared
from gan_bench.core.errors import InputError
from gan_bench.core.image_source import parse_source
from gan_bench.core.option_fields import MatrixFields

if TYPE_CHECKING:
    from gan_bench.core.records import StoredRun
    from gan_bench.store.store import Store


@click.command("eval")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@shared.evaluation_options
@shared.shared_options("out", "device", "data_root", "offline", "plugins", "alpha", "skip_bad")
@shared.shared_options("dataset", of=MatrixFields)
@shared.json_option
def eval_(**given: Any) -> None:
    """Evaluate finished runs under another protocol: metrics, extractors, samples, draws, reference split.

    RUN is a run id, the beginning of one or more, a run's folder, or all. Scores that a run already has under the
    protocol are kept; the others are computed from its stored weights. Runs on your own images need them:
    --dataset NAME=PATH.

    \b
    gan-bench eval all --metrics kid
    gan-bench eval dcgan28 --eval-samples 50000 --eval-draws 5 --reference-split train
    """
    from gan_bench import api
    from gan_bench.cli.run import conclude, stored_runs
    from gan_bench.cli.ui.progress_display import ProgressDisplay
    from gan_bench.core.evaluation_spec import EvaluationSpec
    from gan_bench.store.store import Store

    options = shared.make_options(given)
    source = parse_source(given["dataset"])
    options = options.model_copy(update={"image_sources": (source,) if source else ()})
    evaluation = EvaluationSpec.from_options(shared.field_values(MatrixFields, given))
    as_json: bool = given["as_json"]
    with ProgressDisplay(as_json) as display:
        runs = typed_runs(Store.open(options.out, create=False, on_event=display), given["runs"])
        specs = [run.spec for run in runs]
        display.expect(f"{len(runs)} run{'s' * (len(runs) != 1)} to evaluate in {options.out}", specs)
        api.evaluate([spec.run_id for spec in specs], evaluation, options, display)
        display.note("writing the report")
        api.write_report(options.out)
    evaluated = stored_runs(options.out, specs)
    records = [run.record for run in evaluated]
    conclude(evaluated, records, options.out, as_json, list(display.protocols), all_runs=True)


def typed_runs(store: Store, texts: Sequence[str]) -> list[StoredRun]:
    """Return the runs that were typed, as `api.choose_runs` does; a text may be a run's folder too."""
    from gan_bench import api

    run_ids = []
    for text in texts:
        folder, run_id = shared.split_run(text, store.root)
        if folder.resolve() != store.root.resolve():
            raise InputError(f"{text}: a run of another results folder; type --out {folder}")
        run_ids.append(run_id)
    return api.choose_runs(store, run_ids)
