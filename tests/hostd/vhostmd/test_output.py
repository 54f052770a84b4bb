"""What a program's output means, by vhostmd's rules."""

import pytest

from hostd.settings import VhostmdMetric, VhostmdVariable
from hostd.vhostmd.output import metrics_of
from protocol.vhostmd import Metric, document, metrics_in

SINGLE = VhostmdMetric(name="A", type="uint64", unit="MiB", exec=("a",))
XML = VhostmdMetric(name="A", type="xml", exec=("a",))


def group(*names: str, unit: str = "") -> VhostmdMetric:
    variables = tuple(VhostmdVariable(name=name, type="int32") for name in names)
    return VhostmdMetric(name="G", type="group", unit=unit, exec=("a",), variables=variables)


def values(row: VhostmdMetric, output: bytes, *, newline: bool = False) -> dict[str, str]:
    return {metric.name: metric.value for metric in metrics_of(row, output, newline_in_values=newline)}


def test_a_value_has_the_names_and_labels_of_its_row() -> None:
    (metric,) = metrics_of(SINGLE, b"42\n", newline_in_values=False)
    assert metric == Metric(name="A", value="42", type="uint64", unit="MiB")


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (b"42", "42"),
        (b"42\n", "42"),
        (b"42\r\n", "42"),
        (b"42\n\n", "42\n"),
        (b" 4 2 \n", " 4 2 "),
        (b"42\0 and more\n", "42"),
        (b"a,b\n", "a,b"),
        (b"<&>\n", "<&>"),
        (b"caf\xc3\xa9 \xff\n", "café �"),
    ],
)
def test_a_value_is_what_is_printed_up_to_a_nul_without_its_last_newline(output: bytes, value: str) -> None:
    assert values(SINGLE, output) == {"A": value}


def test_with_newlines_in_values_all_is_as_it_is_printed() -> None:
    assert values(SINGLE, b"42\n", newline=True) == {"A": "42\n"}
    assert values(group("a", "b"), b"1,2\n", newline=True) == {"a": "1", "b": "2\n"}


@pytest.mark.parametrize("output", [b"", b"\n", b" \n", b"\0a"])
@pytest.mark.parametrize("newline", [False, True])
def test_without_a_value_nothing_is_told(output: bytes, newline: bool) -> None:
    assert values(SINGLE, output, newline=newline) == {}
    assert values(group("a", "b"), output, newline=newline) == {}


@pytest.mark.parametrize(
    ("names", "output", "expected"),
    [
        ("a", b"1,2,3\n", {"a": "1,2,3"}),
        ("ab", b"1,2\n", {"a": "1", "b": "2"}),
        ("ab", b"1, 2 ,3\n", {"a": "1", "b": " 2 "}),
        ("abc", b"1,2\n", {"a": "1", "b": "2", "c": "1,2"}),
        ("abc", b"1\n", {"a": "1", "b": "1", "c": "1"}),
        ("abc", b"1,,3\n", {"a": "1", "c": "3"}),
        ("ab", b",\n", {}),
        ("ab", b",2\n", {"b": "2"}),
    ],
)
def test_a_group_is_split_on_commas(names: str, output: bytes, expected: dict[str, str]) -> None:
    assert values(group(*names), output) == expected


def test_a_groups_unit_is_its_variables_unless_one_has_its_own() -> None:
    row = VhostmdMetric(
        name="G",
        type="group",
        unit="s",
        exec=("a",),
        variables=(VhostmdVariable(name="a", type="real64"), VhostmdVariable(name="b", unit="B")),
    )
    assert metrics_of(row, b"1,2\n", newline_in_values=False) == (
        Metric(name="a", value="1", type="real64", unit="s"),
        Metric(name="b", value="2", unit="B"),
    )


def test_xml_is_told_in_our_own_words_whatever_is_around_it() -> None:
    output = b"""stray & <text>
<metric type='uint64' context='vm' id='7' uuid='of another' unit='B'><name>a</name><value> 1\n</value></metric>
<metric type="odd" context="host"><name>b</name><value>x & y</value></metric><metric><name>c</name></metric>
<metric type='int32' context='host'><name>d</name><value/></metric><metric type='int32'>"""
    metrics = metrics_of(XML, output, newline_in_values=False)
    assert metrics == (
        Metric(name="a", value="1", type="uint64", unit="B"),
        Metric(name="b", value="x & y"),
    )
    assert len(metrics_in(document(metrics).decode())) == 2
