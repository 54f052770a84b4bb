"""vhostmd's text: what is written is XML that ends where it ends, and what any host writes is read."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.vhostmd import (
    END,
    INVALID,
    MAX_REQUEST_BYTES,
    REQUEST,
    Metric,
    Requests,
    Style,
    Verdict,
    document,
    metrics_in,
    own,
    plain,
)

A, B = "00000001-1111-1111-1111-111111111111", "00000002-2222-2222-2222-222222222222"
NASTY = ["&", "<", ">", "'", '"', "]]>", "<![CDATA[", "<!--", "-->", "\n", "\r", "\t", "\0", "&amp;", "é", "\ud800"]
TEXTS = st.lists(st.sampled_from([*NASTY, "</value>", "</metric>", "a", " "]) | st.text(max_size=3)).map("".join)
METRICS = st.builds(Metric, name=TEXTS, value=TEXTS, unit=TEXTS, context=st.sampled_from(["host", "vm"]), uuid=TEXTS)


def words(text: str) -> str:
    """The text as far as any style keeps it: what it says, not where its white space is."""
    return " ".join(plain(text).split())


# Writing


def test_vhostmds_own_style_byte_by_byte() -> None:
    metrics = [
        Metric("Z", "1"),
        Metric("TotalCPUTime", "1.5", type="real64", context="vm", id="1", uuid=A, unit="s"),
    ]
    assert document(metrics) == (
        b"<metrics>\n"
        b"  <metric type='string' context='host'>\n    <name>Z</name>\n    <value>1</value>\n  </metric>\n"
        b"  <metric type='real64' context='vm' id='1' uuid='00000001-1111-1111-1111-111111111111' unit='s'>\n"
        b"    <name>TotalCPUTime</name>\n    <value>1.5</value>\n  </metric>\n"
        b"</metrics>\n"
    )


def test_kubevirts_style_byte_by_byte() -> None:
    assert document([Metric("Time", "7", type="int64", unit="s", uuid=A, id="1")], Style.KUBEVIRT) == (
        b'<metrics>\n  <metric type="int64" context="host" unit="s">\n    <name>Time</name>\n'
        b"    <value><![CDATA[7]]></value>\n  </metric>\n</metrics>\n"
    )


def test_xenstores_style_byte_by_byte() -> None:
    assert document([Metric("Z", "1", context="vm", id="2", uuid=B)], Style.XENSTORE) == (
        b'<metrics>\n\t<metric type="string" context="vm" id="2" uuid="00000002-2222-2222-2222-222222222222">\n'
        b"\t\t<name>Z</name>\n\t\t<value>1</value>\n\t</metric>\n</metrics>"
    )


def test_a_document_of_nothing() -> None:
    assert document([]) == b"<metrics>\n</metrics>\n"


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_value_is_never_written_for_libmetrics_crashes_of_it(value: str) -> None:
    assert b"<value>-</value>" in document([Metric("Z", value)])


def test_a_newline_that_ends_a_value_stays_as_vhostmd_has_it() -> None:
    assert b"<value>42\n</value>" in document([Metric("Z", "42\n")])


@settings(deadline=None)
@given(metrics=st.lists(METRICS, max_size=4), style=st.sampled_from(Style))
def test_whatever_is_in_it_a_document_is_xml_with_no_empty_line_before_its_end(
    metrics: list[Metric], style: Style
) -> None:
    written = document(metrics, style)
    assert END not in written
    assert b"\r" not in written
    assert b"\0" not in written
    elements = list(ET.fromstring(written))
    assert len(elements) == len(metrics)
    for element, metric in zip(elements, metrics, strict=True):
        assert words(element.findtext("name") or "") == words(metric.name)
        assert words(element.findtext("value") or "") == (words(metric.value) or "-")
        assert words(element.get("unit", "")) == words(metric.unit)


@settings(deadline=None)
@given(metrics=st.lists(METRICS, max_size=4), style=st.sampled_from(Style))
def test_what_is_written_is_read_back(metrics: list[Metric], style: Style) -> None:
    read = metrics_in(document(metrics, style).decode())
    assert [(words(each.name), words(each.value), words(each.unit), each.context) for each in read] == [
        (words(each.name), words(each.value) or "-", words(each.unit), each.context) for each in metrics
    ]
    if style is not Style.KUBEVIRT:
        assert [words(each.uuid) for each in read] == [words(each.uuid) for each in metrics]


# Reading


def test_the_default_set_of_upstream_as_it_was_recorded() -> None:
    text = (
        "<metrics>\n  <metric type='real64' context='host' unit='s'>\n    <name>TotalCPUTime</name>\n"
        "    <value>1318.680000\n</value>\n  </metric>\n"
        "  <metric type='uint64' context='host'>\n    <name>PageInRate</name>\n"
        "    <value>4.000000</value>\n  </metric>\n"
        "  <metric type='uint64' context='host' unit='MiB'>\n    <name>TotalPhyMem</name>\n    <value>3072\n</value>\n"
        "  </metric>\n  <metric type='string' context='host'>\n    <name>HostName</name>\n    <value>vm</value>\n"
        f"  </metric>\n  <metric type='real64' context='vm' id='1' uuid='{A}' unit='s'>\n"
        "    <name>TotalCPUTime</name>\n    <value>1795400156.8\n</value>\n  </metric>\n</metrics>\n"
    )
    assert metrics_in(text) == [
        Metric("TotalCPUTime", "1318.680000", type="real64", unit="s"),
        Metric("PageInRate", "4.000000", type="uint64"),
        Metric("TotalPhyMem", "3072", type="uint64", unit="MiB"),
        Metric("HostName", "vm"),
        Metric("TotalCPUTime", "1795400156.8", type="real64", context="vm", id="1", uuid=A, unit="s"),
    ]


def test_kubevirts_without_ids() -> None:
    text = (
        '<metrics>\n  <metric type="uint64" context="vm" unit="KiB">\n    <name>ResourceMemoryLimit</name>\n'
        "    <value><![CDATA[1048576]]></value>\n  </metric>\n</metrics>\n\n"
    )
    assert metrics_in(text) == [
        Metric("ResourceMemoryLimit", "1048576", type="uint64", context="vm", unit="KiB"),
    ]


@pytest.mark.parametrize(
    ("attributes", "metric"),
    [
        ("context='vm' type='int32'", Metric("N", "V", type="int32", context="vm")),
        ('uuid="u" id="3" context="vm" type="int32"', Metric("N", "V", type="int32", context="vm", id="3", uuid="u")),
        ("\n type = 'int32'\n\tcontext\n=\n'host'", Metric("N", "V", type="int32")),
        ("type='UINT64' context=' Host '", Metric("N", "V", type="uint64")),
        ("type='int32' context='host' unit='a>b'", Metric("N", "V", type="int32", unit="a>b")),
        ("type='int32' context='host' unit='&lt;5 &amp; \"x\"'", Metric("N", "V", type="int32", unit='<5 & "x"')),
        ("type='int32' context='vm' unit='it's'", Metric("N", "V", type="int32", context="vm", unit="it")),
        ("colour='red' type='int32' context='host'", Metric("N", "V", type="int32")),
        ("", Metric("N", "V")),
    ],
)
def test_attributes_may_come_in_any_order_and_quotes(attributes: str, metric: Metric) -> None:
    assert metrics_in(f"<metric {attributes}><name>N</name><value>V</value></metric>") == [metric]


@pytest.mark.parametrize(
    ("inner", "value"),
    [
        ("42\n", "42"),
        (" a b ", "a b"),
        ("two\nlines", "two\nlines"),
        ("AT&T", "AT&T"),
        ("AT&amp;T", "AT&T"),
        ("&lt;&gt;&quot;&apos;", "<>\"'"),
        ("&#65;&#x42;", "AB"),
        ("&copy; &ltx &notanentity; &", "&copy; &ltx &notanentity; &"),
        ("&#0;&#xD800;&#x110000;", "\ufffd\ufffd\ufffd"),
        ("a < b", "a < b"),
        ("a <b> c", "a <b> c"),
        ("a;touch X $(id)", "a;touch X $(id)"),
        ("<![CDATA[ a & <b> ]]>", "a & <b>"),
        ("<![CDATA[&amp;]]>&amp;", "&amp;&"),
        ("<![CDATA[a]]]]><![CDATA[>b]]>", "a]]>b"),
        ("<![CDATA[</value></metric>]]>", "</value></metric>"),
        ("<![CDATA[open", "<![CDATA[open"),
        ("1<!-- one -->2", "12"),
        ("<!--", "<!--"),
        ("4\0002", "42"),
        ("</value>", "</value>"),
        ("", ""),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_values_as_hosts_write_them(inner: str, value: str) -> None:
    metric, after = metrics_in(
        f"<metric type='string' context='host'><name>N</name><value>{inner}</value></metric>\n"
        "<metric type='string' context='host'><name>M</name><value>1</value></metric>"
    )
    assert metric.value == value
    assert after == Metric("M", "1")


def test_what_is_around_metrics_does_not_count() -> None:
    text = (
        "<?xml version='1.0'?><!DOCTYPE metrics><metrics><!-- host metrics not available -->\nnoise & <noise>"
        "<!-- <metric type='string' context='host'><name>no</name><value>no</value></metric> -->"
        "<metric type='string' context='host'><name>N</name><value>V</value></metric  ></metrics>"
    )
    assert metrics_in(text) == [Metric("N", "V")]


def test_a_part_that_is_no_metric_costs_only_itself() -> None:
    text = (
        "<metrics><metric type='string' context='host'><name>cut short<metric type='string'>"
        "<name>N</name><value>V</value></metric><metric><name>no value</name></metric>"
        "<metric><value>no name</value></metric><metric><name>empty</name><value/></metric></metrics>"
    )
    assert metrics_in(text) == [Metric("N", "V"), Metric("empty", "")]


def test_a_document_that_was_cut_brings_what_is_whole() -> None:
    text = document([Metric("N", "V"), Metric("M", "W")]).decode()
    assert [metrics_in(text[:end]) for end in (40, 120, len(text) - 30)] == [[], [Metric("N", "V")], [Metric("N", "V")]]


@pytest.mark.parametrize("text", ["", "INVALID REQUEST\n\n", "<metrics>\n</metrics>\n", "\0\0", "<metric", "<metric >"])
def test_no_metrics(text: str) -> None:
    assert metrics_in(text) == []


@pytest.mark.parametrize(
    "piece",
    [
        "<metric ",
        "<metric>",
        "<metric a='",
        "<metric a='>",
        "<metric a=\"'",
        "<metric><name>",
        "<metric><value></value>",
        "<metric a=a>",
        "<!--",
        "<![CDATA[",
        "<metric><name>n</name><value><![CDATA[",
        "<metric><name>n</name><value><!--",
        "</metric ",
        "</metric>",
        "a" * 50,
        "a ",
        "a=",
        "' ",
        "&#",
        "\n",
        "\n \n",
    ],
)
def test_what_is_hostile_costs_no_more_than_what_is_long(piece: str) -> None:
    """With anything but linear time one of these takes hours, and the suite's own limit ends it."""
    long = piece * (1_500_000 // len(piece))
    for text in (long, f"<metric {long}>", f"<metric><name>n</name><value>{long}</value></metric>"):
        metrics_in(text)
    document([Metric("n", long)])


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<metric>", "<name>", "</name>", "<value>", "</value>", "</metric>", *NASTY])))
def test_nothing_that_can_be_written_is_too_odd_to_be_read(pieces: list[str]) -> None:
    for metric in metrics_in("".join(pieces)):
        assert metric.name == metric.name.strip()
        assert metric.value == metric.value.strip()


# Whose


def of(uuid: str, value: str = "1") -> Metric:
    return Metric("TotalCPUTime", value, type="real64", context="vm", uuid=uuid)


HOST = Metric("HostName", "h")


@pytest.mark.parametrize(
    ("metrics", "uuid", "ours"),
    [
        ([HOST, of(A), of(B)], B, [HOST, of(B)]),
        ([HOST, of(A.upper()), of(B)], A.replace("-", ""), [HOST, of(A.upper())]),
        ([HOST, of(A), of(B)], None, [HOST]),
        ([HOST, of(A)], None, [HOST, of(A)]),
        ([HOST, of(A)], B, [HOST]),
        ([HOST, of("")], None, [HOST, of("")]),
        ([HOST, of("")], A, [HOST, of("")]),
        ([HOST, of(A), of("")], A, [HOST, of(A), of("")]),
        ([HOST, of(A), of(B), of("")], A, [HOST, of(A)]),
        ([HOST, of(A), of(B), of("")], None, [HOST]),
    ],
)
def test_of_several_domains_metrics_ours_are_told_by_the_uuid(
    metrics: list[Metric], uuid: str | None, ours: list[Metric]
) -> None:
    assert own(metrics, uuid) == ours


# Requests


def heard(*pieces: bytes) -> list[Verdict | None]:
    requests = Requests()
    return [requests.receive(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("sent", "verdict"),
    [
        (REQUEST, Verdict.ASKED),
        (b"GET /metrics/XML\r\n\r\n", Verdict.ASKED),
        (b"\0\0" + REQUEST, Verdict.ASKED),
        (REQUEST + b"\0whatever", Verdict.ASKED),
        (REQUEST + REQUEST, Verdict.INVALID),
        (b"GET /metrics/XML HTTP/1.0\r\n\r\n", Verdict.INVALID),
        (b"\n" + REQUEST, Verdict.INVALID),
        (b"GET /metrics/XML\r\n\n", Verdict.INVALID),
        (b"GET /metrics/XML\n\r\n", None),
        (b"get /metrics/xml\n\n", Verdict.INVALID),
        (b"GET /metrics/JSON\n\n", Verdict.INVALID),
        (b"GET /metrics/XML \n\n", Verdict.INVALID),
        (INVALID, Verdict.INVALID),
        (b"\n\n", Verdict.INVALID),
        (b"", None),
        (b"\0" * 600, None),
        (b"x" * 509 + b"\n\n", Verdict.INVALID),
        (b"x" * 510 + b"\n\n", Verdict.OVERLONG),
        (b"x" * 511, None),
        (b"x" * 512, Verdict.OVERLONG),
    ],
)
def test_what_a_guests_bytes_come_to(sent: bytes, verdict: Verdict | None) -> None:
    assert heard(sent) == [verdict]


def test_a_request_may_come_byte_by_byte_and_another_after_it() -> None:
    verdicts = heard(*(REQUEST[at : at + 1] for at in range(len(REQUEST))), REQUEST)
    assert verdicts == [*[None] * (len(REQUEST) - 1), Verdict.ASKED, Verdict.ASKED]


def test_what_a_former_guest_left_spoils_one_request_and_no_more() -> None:
    assert heard(b"GET /me", REQUEST, REQUEST) == [None, Verdict.INVALID, Verdict.ASKED]


def test_what_is_too_long_is_forgotten() -> None:
    assert heard(b"x" * 511, b"x", REQUEST) == [None, Verdict.OVERLONG, Verdict.ASKED]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300) | st.sampled_from([REQUEST, b"\r\n\r\n", b"\0", b"GET /metrics/"])))
def test_no_more_than_a_request_is_ever_held(pieces: list[bytes]) -> None:
    requests = Requests()
    for piece in pieces:
        requests.receive(piece)
        assert len(requests._held) < MAX_REQUEST_BYTES


def test_a_request_in_two_pieces_is_the_same_wherever_it_was_cut() -> None:
    for request, at in itertools.product((REQUEST, b"GET /metrics/XML\r\n\r\n"), range(1, 18)):
        assert heard(request[:at], request[at:])[-1] is Verdict.ASKED


def test_the_words_of_the_channel_are_what_others_have_in_theirs() -> None:
    assert re.fullmatch(rb"GET /metrics/XML\n\n", REQUEST)
    assert (len(REQUEST), len(INVALID)) == (18, 17)
