"""The page of the problem types, with an anchor for each: the part of its `type` after the prefix."""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup, escape

from customer_service.web.problems import ALL_PROBLEMS, TYPE_PREFIX

PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Customer service: problem types</title>
  <link rel="stylesheet" href="page.css">
</head>
<body>
  <main>
    <h1>Problem types</h1>
    <p>The <code>type</code> of an error is <code>{prefix}</code> and one of these.</p>
{sections}
  </main>
</body>
</html>
""")
SECTION = Markup("""    <h2 id="{slug}"><a href="#{slug}">{slug}</a></h2>
    <p>{status} {phrase}. {details}</p>
""")


@cache
def page() -> str:
    """Return the page in HTML."""
    slugs = sorted({problem.slug for problem in ALL_PROBLEMS})
    return PAGE.format(prefix=TYPE_PREFIX, sections=Markup().join(map(_section, slugs)))


def _section(slug: str) -> Markup:
    problems = [problem for problem in ALL_PROBLEMS if problem.slug == slug]
    details = dict.fromkeys(_code(problem.detail) for problem in problems)
    status = problems[0].status
    return SECTION.format(slug=slug, status=status.value, phrase=status.phrase, details=Markup(" ").join(details))


def _code(text: str) -> Markup:
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped
