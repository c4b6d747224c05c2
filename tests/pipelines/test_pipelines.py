"""What `tillproof ci init` writes is valid, and fails for what it should fail for.

GitHub's and GitLab's schemas come with check-jsonschema, so nothing is fetched. Jenkins publishes none: a
Jenkinsfile is Groovy, and only a Jenkins can check it; here its braces, stages and shell commands are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from rehearsal.ci.pipelines import SERVICES, pipeline
from rehearsal.cli import tillproof

SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
CHOICES = ("warn", "fail")
VERDICTS = {0: "GO", 10: "NO-GO", 20: "INCONCLUSIVE", 30: "could not run"}


def written(service: str, choice: str) -> str:
    """Return a pipeline file."""
    return pipeline(service, scenario="smoke", on_inconclusive=choice, branch="main")


def parsed(service: str, choice: str) -> Any:
    """Return a YAML pipeline as values."""
    return YAML(typ="safe").load(written(service, choice))


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("service", sorted(SCHEMAS))
def test_the_file_keeps_the_services_schema(tmp_path: Path, service: str, choice: str) -> None:
    """As check-jsonschema vendors it."""
    path = tmp_path / "pipeline.yml"
    path.write_text(written(service, choice))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[service]]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    path.write_text(written(service, choice).replace("script:", "scrip:").replace("runs-on:", "runs:"))
    broken = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert broken.returncode == 1, "the schema must see a broken file"


@pytest.mark.parametrize("service", sorted(SERVICES))
@pytest.mark.parametrize("choice", CHOICES)
def test_nothing_is_left_to_fill_in(service: str, choice: str) -> None:
    """Every placeholder has its value."""
    assert re.findall(r"@[A-Z_]+@", written(service, choice)) == []


def scripts(service: str, choice: str) -> list[str]:
    """Return the shell scripts of a pipeline's jobs."""
    if service == "github":
        jobs = parsed(service, choice)["jobs"].values()
        return [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    if service == "gitlab":
        jobs = [job for job in parsed(service, choice).values() if isinstance(job, dict) and "script" in job]
        first = parsed(service, choice)[".tillproof"]["before_script"]
        return ["\n".join([*first, *job["script"]]) for job in jobs]
    return re.findall(r"(?:sh |script: )'([^']*)'", written(service, choice))


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_command_is_shell_and_names_a_real_subcommand(service: str) -> None:
    """bash parses each script; what they ask of tillproof is what tillproof knows."""
    found = scripts(service, "warn")
    assert any("tillproof run smoke" in script for script in found)
    assert any("tillproof gate" in script for script in found)
    for script in found:
        subprocess.run(["bash", "-n", "-c", script], check=True)
    for script in found:
        for name, options in re.findall(r"tillproof (gate|run)([^|\n]*)", script):
            known = CliRunner().invoke(tillproof, [name, "--help"]).output
            assert all(option in known for option in re.findall(r"--[a-z-]+", options))


def rehearsal_of(service: str, choice: str) -> str:
    """Return the script of a pipeline's rehearsal, set-up aside."""
    (script,) = [script for script in scripts(service, choice) if "tillproof run" in script]
    return "\n".join(line for line in script.splitlines() if not line.startswith("make "))


@pytest.mark.parametrize("code", sorted(VERDICTS))
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_the_job_ends_as_the_verdict_says(tmp_path: Path, service: str, choice: str, code: int) -> None:
    """NO-GO and a broken lab fail; INCONCLUSIVE by choice; the report is kept whatever came out."""
    program = tmp_path / ".venv/bin/tillproof"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\nmkdir -p reports/r1 && echo '# said' > reports/r1/summary.md\n"
        f"ln -s r1 reports/latest\nexit {code}\n"
    )
    program.chmod(0o755)
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    script = rehearsal_of(service, choice)
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=False)
    allowed = [20] if service == "github" and choice == "warn" else []
    assert done.returncode == (0 if code in allowed else code)
    assert (tmp_path / "tillproof-report/summary.md").read_text() == "# said\n"
    if service == "github":
        assert (tmp_path / "summary").read_text() == "# said\n"
    else:
        rule = parsed(service, choice)["rehearsal"]["allow_failure"]
        assert rule == ({"exit_codes": [20]} if choice == "warn" else False)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_report_of_the_job_before_is_not_published(tmp_path: Path, service: str) -> None:
    """A workspace that persists, and a lab that could not run: nothing is left to be taken for its report."""
    (tmp_path / "reports/r0").mkdir(parents=True)
    (tmp_path / "reports/latest").symlink_to("r0")
    (tmp_path / "reports/gate").mkdir()
    (tmp_path / "reports/gate/gate.json").write_text("{}")
    (tmp_path / "tillproof-report").mkdir()
    (tmp_path / "tillproof-report/junit.xml").write_text("<testsuites/>")
    for program in ("bin/make", ".venv/bin/tillproof"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\nexit {0 if path.name == 'make' else 30}\n")
        path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    for script in scripts(service, "fail"):
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=False)
    assert not (tmp_path / "tillproof-report").exists()
    assert not (tmp_path / "reports/gate/gate.json").exists()
    assert (tmp_path / "reports/r0").is_dir()


def test_a_jenkinsfile_is_balanced_and_has_its_stages() -> None:
    """And marks INCONCLUSIVE unstable or failed, by choice."""
    text = written("jenkins", "warn")
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")
    assert re.findall(r"stage\('([^']*)'\)", text) == ["Set up", "What a sale costs", "Rehearsal"]
    gate = text[text.index("stage('What a sale costs')") : text.index("stage('Rehearsal')")]
    assert re.search(r"catchError\(buildResult: 'FAILURE', stageResult: 'FAILURE'\) \{[^}]*tillproof gate", gate)
    assert "unstable('Tillproof: INCONCLUSIVE')" in text
    assert "error('Tillproof: INCONCLUSIVE')" in written("jenkins", "fail")


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_file_that_is_there_is_kept(tmp_path: Path, service: str) -> None:
    """Only --force writes over it."""
    target = tmp_path / SERVICES[service].target
    asked = ["ci", "init", service, "--into", str(tmp_path)]
    assert CliRunner().invoke(tillproof, asked).exit_code == 0
    target.write_text("mine")
    refused = CliRunner().invoke(tillproof, asked)
    assert (refused.exit_code, target.read_text()) == (2, "mine")
    assert "--force" in refused.output
    assert CliRunner().invoke(tillproof, [*asked, "--force"]).exit_code == 0
    assert target.read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scenario", "nope"], "no scenario 'nope'; there are"),
        (["--branch", "a b"], "'a b' is no branch's name"),
        (["--branch", "$(x)"], "is no branch's name"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, options: list[str], said: str) -> None:
    """And nothing is written."""
    done = CliRunner().invoke(tillproof, ["ci", "init", "github", "--into", str(tmp_path), *options])
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert said in done.output
