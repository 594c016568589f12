"""`plan` and `preview` say where requests really go when `base_urls` put another server in an API's place."""

import pytest
from cli_projects import as_json, command

FEED = """\
name: days
source: {endpoint: "%s", records: rows, params: {from: "{{ window.start }}", to: "{{ window.end }}"}}
cursor: {field: day, initial: 2024-01-01}
fields: {id: UInt32, v: Float64, day: {type: Date, value: "2024-01-01"}}
target: {table: t.days, key: [id]}
"""
OTHER = "https://api.nexus.invalid"


def written(project, api, address):
    (project.root / "sources.d" / "days.yaml").write_text(FEED % address)
    bases = f'{{"https://elsewhere.invalid": "http://127.0.0.1:9", "{OTHER}": "{api.url}"}}'
    (project.root / "nexus.yaml").write_text(f"vars: {{host: api.nexus.invalid}}\nenvironments: {{dev: {{base_urls: {bases}}}}}\n")


@pytest.mark.parametrize("address", [f"{OTHER}/days", "https://{{ vars.host }}/days"])
def test_where_requests_really_go(project, api, address):
    written(project, api, address)
    line = f"requests go to {api.url} instead of {OTHER} (base_urls)"
    for words in (["plan", "days"], ["plan", "days", "--from", "2024-01-01", "--to", "2024-01-09"], ["preview", "days"]):
        done = command(project.root, *words, "--env", "dev")
        assert done.returncode == 0, done.stderr
        assert [text.strip() for text in (done.stdout + done.stderr).splitlines() if "base_urls" in text] == [line]
        assert as_json(command(project.root, *words, "--env", "dev", "--json"))["base_urls"] == {OTHER: api.url}
    assert api.asked
    for words in (["plan", "days"], ["plan", "days", "--from", "2024-01-01", "--to", "2024-01-09"]):
        assert "base_urls" not in command(project.root, *words).stdout


def test_the_address_of_a_listing_counts(project, api):
    written(project, api, f"{api.url}/days")
    feed = project.root / "sources.d" / "days.yaml"
    listing = f'records: rows, each: {{n: {{request: {{endpoint: "{OTHER}/ids"}}, records: rows, column: id}}}}'
    feed.write_text(feed.read_text().replace("records: rows", listing))
    assert as_json(command(project.root, "plan", "days", "--env", "dev", "--json"))["base_urls"] == {OTHER: api.url}


def test_a_longer_host_is_another_host(project, api):
    written(project, api, f"{OTHER}.example/days")
    assert as_json(command(project.root, "plan", "days", "--env", "dev", "--json"))["base_urls"] == {}
