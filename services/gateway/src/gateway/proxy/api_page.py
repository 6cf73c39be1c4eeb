"""The API document as one page for people: no script, nothing from elsewhere."""

from typing import Any

from jinja2 import Environment

_TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1d2733 }
code, pre { font-family: ui-monospace, monospace; font-size: 90% }
pre { background: #f4f6f8; padding: .8em; overflow-x: auto }
details { border: 1px solid #d5dce3; border-radius: 6px; margin: .4em 0; padding: .3em .8em }
summary { cursor: pointer } b { display: inline-block; min-width: 4.5em }
.who { color: #5b6b7c; font-size: 85% }
table { border-collapse: collapse } td, th { text-align: left; padding: .1em 1em .1em 0 }
</style></head>
<body><h1>{{ title }}</h1>
<p>Sign in with <code>POST /api/auth/login/</code> and send <code>Authorization: Bearer …</code>.
The document behind this page: <a href="/openapi.json">openapi.json</a>.</p>
{% for tag, operations in groups %}
<h2 id="{{ tag }}">{{ tag }}</h2>
{% for op in operations %}
<details><summary><b>{{ op.method }}</b> <code>{{ op.path }}</code> <span class="who">{{ op.who }}</span></summary>
<p>{{ op.description }}</p>
{% if op.parameters %}<table><tr><th>parameter</th><th>in</th><th>required</th></tr>
{% for p in op.parameters %}
<tr><td><code>{{ p.name }}</code></td><td>{{ p.in }}</td><td>{{ "yes" if p.required else "no" }}</td></tr>
{% endfor %}</table>{% endif %}
{% if op.body %}<p>Body: <a href="#{{ op.body }}"><code>{{ op.body }}</code></a></p>{% endif %}
<p>Answers:
{% for status, schema in op.answers %}
<code>{{ status }}</code>{% if schema %} <a href="#{{ schema }}"><code>{{ schema }}</code></a>{% endif %}
{% endfor %}</p>
</details>
{% endfor %}
{% endfor %}
<h2>Objects</h2>
{% for name, fields in objects %}
<details id="{{ name }}"><summary><code>{{ name }}</code></summary>
<table><tr><th>field</th><th>type</th><th>required</th></tr>
{% for field in fields %}
<tr><td><code>{{ field.name }}</code></td><td>{{ field.type }}</td><td>{{ "yes" if field.required else "no" }}</td></tr>
{% endfor %}</table></details>
{% endfor %}
</body></html>
""")


def render(document: dict[str, Any]) -> str:
    """The page of a merged document, grouped by the operations' first tag."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = next(iter(operation.get("tags", [])), "other")
            groups.setdefault(tag, []).append(_operation(path, method, operation))
    objects = [(name, _fields(schema)) for name, schema in sorted(document["components"]["schemas"].items())]
    return _TEMPLATE.render(title=document["info"]["title"], groups=sorted(groups.items()), objects=objects)


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    access = operation.get("x-access", {})
    return {
        "path": path,
        "method": method.upper(),
        "who": " ".join([access.get("level", ""), *access.get("roles", [])]),
        "description": operation.get("description") or operation.get("summary", ""),
        "parameters": operation.get("parameters", []),
        "body": _schema_of(operation.get("requestBody", {})),
        "answers": [(status, _schema_of(answer)) for status, answer in operation.get("responses", {}).items()],
    }


def _schema_of(holder: dict[str, Any]) -> str:
    for media in holder.get("content", {}).values():
        reference: str = media.get("schema", {}).get("$ref", "")
        return reference.rpartition("/")[2]
    return ""


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = set(schema.get("required", []))
    return [
        {"name": name, "type": _type(field), "required": name in required}
        for name, field in schema.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    return " ".join(str(field[key]) for key in ("type", "format") if key in field) or "any"
