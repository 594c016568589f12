"""The auth methods `header`, `query`, `cookie`, `bearer`, `basic`, `oauth2` and `login`."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_auth(register: Register) -> None:
    from nexus_plugins.auth import static, tokens

    register("header", static.HeaderAuth)
    register("query", static.QueryAuth)
    register("cookie", static.CookieAuth)
    register("bearer", static.BearerAuth)
    register("basic", static.BasicAuth)
    register("oauth2", tokens.OAuth2Auth)
    register("login", tokens.LoginAuth)
