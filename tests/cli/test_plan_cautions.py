"""`plan` says what is allowed and probably not meant."""

from cli_projects import as_json, command


def test_a_cursor_that_no_request_uses(project):
    path = project.feed("days")
    path.write_text(path.read_text() + "cursor: {field: id, initial: 0}\n")
    assert "caution   no request uses the cursor" in command(project.root, "plan", "days").stdout
    path.write_text(path.read_text().replace("/days", "/days?after={{ window.start }}"))
    found = as_json(command(project.root, "plan", "days", "--json"))
    assert (found["cautions"], found["windows"]["count"]) == ([], 1)
