"""SOAP messages to calls and back, by pyvmomi's type tables.

Not here: what a call does.
"""

import importlib
import io
from dataclasses import dataclass
from typing import Any

from simulators.esxi.vmodl import fault, property_info, property_list, vmodl

_adapter: Any = importlib.import_module("pyVmomi.SoapAdapter")
_support: Any = importlib.import_module("pyVmomi.VmomiSupport")
etree: Any = importlib.import_module("lxml.etree")

API_VERSION = "8.0.3.0"
NAMESPACE = "urn:vim25"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
LARGEST_MESSAGE = 32 << 20
_NSMAP = {**_adapter.SOAP_NSMAP, NAMESPACE: ""}
_START = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope '
    'xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" '
    f'xmlns:soapenv="{ENVELOPE}" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<soapenv:Body>\n'
)
_END = "\n</soapenv:Body>\n</soapenv:Envelope>"


@dataclass(frozen=True)
class Message:
    """A call as it arrived. `info` is pyvmomi's description of the method (None for Fetch)."""

    name: str
    target: Any
    args: dict[str, Any]
    info: Any
    version: str


def known_versions() -> list[str]:
    """Version ids this host announces besides its own, newest first."""
    ours = _support.versionMap[f"vim25/{API_VERSION}"]
    ids = [_support.versionIdMap[version] for version in _support.parentMap[ours] if version.startswith("vim.version")]
    return sorted({known for known in ids if known}, reverse=True)


def parse(body: bytes, action: str) -> Message:
    """The call in a request.

    Raises:
        vmodl.fault.InvalidRequest: not well-formed, no call, or arguments that the method does not have.
        vmodl.fault.MethodNotFound: no such method in the API.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
        if root.getroottree().docinfo.internalDTD is not None:
            raise fault(vmodl.fault.InvalidRequest, "A DTD is not allowed")
        call = root.find(f"{{{ENVELOPE}}}Body")[0]
        target = _deserialize(call[0], _support.ManagedObject)
    except (etree.XMLSyntaxError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise fault(vmodl.fault.InvalidRequest, f"Unable to parse the request: {error}") from None
    name = etree.QName(call).localname
    if name == "Fetch":
        return Message(name, target, {"prop": call[1].text}, None, _version(action))
    try:
        info = _support.GetWsdlMethod(NAMESPACE, name).info
    except KeyError:
        raise fault(vmodl.fault.MethodNotFound, f"no method {name}", receiver=target, method=name) from None
    return Message(name, target, _arguments(call, info), info, _version(action))


def _arguments(call: Any, info: Any) -> dict[str, Any]:
    args: dict[str, Any] = {}
    for param in info.params:
        found = [child for child in call[1:] if etree.QName(child).localname == param.name]
        try:
            if issubclass(param.type, list):
                args[param.name] = [_deserialize(child, param.type.Item) for child in found]
            else:
                args[param.name] = _deserialize(found[0], param.type) if found else None
        except Exception as error:  # noqa: BLE001 -- pyvmomi raises whatever it trips over
            raise fault(vmodl.fault.InvalidRequest, f"bad argument {param.name}: {error}") from None
        if not found and not param.flags & _support.F_OPTIONAL:
            raise fault(
                vmodl.fault.InvalidRequest, f"Required parameter {param.name} is missing for method {info.wsdlName}"
            )
    return args


def _deserialize(element: Any, kind: Any) -> Any:
    return _adapter.Deserialize(etree.tostring(element, with_tail=False), kind)


def _version(action: str) -> str:
    wanted = action.strip('"').rpartition(":")[2]
    ours: str = _support.versionMap[f"vim25/{API_VERSION}"]
    found = _support.versionMap.get(wanted)
    return found if found is not None and _support.parentMap[ours] >= {found} else ours


def _element(name: str, value: Any, kind: Any, flags: int, version: str) -> str:
    out = io.StringIO()
    writer = _adapter.SoapSerializer(out, version, _NSMAP)
    writer.outermostAttrs = ""
    if value is not None:
        writer.Serialize(value, _support.Object(name=name, type=kind, version=version, flags=flags))
    return out.getvalue()


def response(message: Message, result: Any) -> bytes:
    """The answer to a call; `result` must be of the method's type."""
    kind, flags = (
        (object, _support.F_OPTIONAL) if message.info is None else (message.info.result, message.info.resultFlags)
    )
    if message.info is None:
        kind = _property_type(message)
    return answer(message.name, _element("returnval", result, kind, flags | _support.F_OPTIONAL, message.version))


def _property_type(message: Message) -> Any:
    return property_info(type(message.target), message.args["prop"]).type


def answer(name: str, inner: str) -> bytes:
    return f'{_START}<{name}Response xmlns="{NAMESPACE}">{inner}</{name}Response>{_END}'.encode()


def fault_response(error: Any, version: str | None = None) -> bytes:
    """A fault as the host sends it (with HTTP 500)."""
    version = version or _support.versionMap[f"vim25/{API_VERSION}"]
    kind = _support.GetWsdlName(type(error))
    text = error.msg or kind
    copy = type(error)()
    for prop in property_list(error):
        if prop.name != "msg":
            setattr(copy, prop.name, getattr(error, prop.name))
    out = io.StringIO()
    writer = _adapter.SoapSerializer(out, version, _NSMAP)
    writer.outermostAttrs = ""
    info = _support.Object(name=f"{kind}Fault", type=object, version=version, flags=0)
    writer._SerializeDataObject(  # noqa: SLF001 -- the public way wraps it in a LocalizedMethodFault
        copy, info, f' xmlns="{NAMESPACE}"', NAMESPACE
    )
    return (
        f"{_START}<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{_adapter.XmlEscape(text)}"
        f"</faultstring><detail>{out.getvalue()}</detail></soapenv:Fault>{_END}"
    ).encode()


def service_versions() -> str:
    """The document /sdk/vimServiceVersions.xml, by which clients choose a version."""
    prior = "".join(f"<version>{known}</version>" for known in known_versions() if known != API_VERSION)
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<namespaces version="1.0"><namespace><name>urn:vim25</name>'
        f"<version>{API_VERSION}</version><priorVersions>{prior}</priorVersions></namespace></namespaces>"
    )


def is_reference(value: Any) -> bool:
    return isinstance(value, _support.ManagedObject)


def signature(value: Any) -> str:
    """A text that is equal for equal values, to see whether a property moved."""
    if value is None:
        return ""
    return _element("v", value, object, _support.F_OPTIONAL, _support.versionMap[f"vim25/{API_VERSION}"])
