"""The recipes for CI systems: their files, and the scripts in them."""

from typing import Any

from ruamel.yaml import YAML

from tests.tools.make import TOP

CI = TOP / "fixtures/packaging/ci"
ACTION = TOP / "action.yml"
TEKTON = CI / "tekton-task.yaml"
GITLAB = CI / "gitlab.yml"
PROW = CI / "import-image-release-ref.yaml"
PROW_SCRIPT = CI / "import-image-release-commands.sh"


def document(recipe: object) -> dict[str, Any]:
    """The recipe as a document."""
    found: dict[str, Any] = YAML(typ="safe").load(recipe)
    return found


def action_script() -> str:
    """What the GitHub action's only step runs, on the runner."""
    (step,) = document(ACTION)["runs"]["steps"]
    return str(step["run"])


def tekton_script() -> str:
    """What the Task's only step runs, in the container."""
    (step,) = document(TEKTON)["spec"]["steps"]
    return str(step["script"])


def gitlab_script() -> str:
    """What the job runs, in the container."""
    (line,) = document(GITLAB)[".import-images"]["script"]
    return str(line)
