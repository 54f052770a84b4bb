"""From libvirt's answer to the page: whatever it says of one domain, the page is whole and the others are as ever."""

from hypothesis import given
from hypothesis import strategies as st

from hostd.hypervisor.decode import domain_stats, survey
from hostd.model import changes
from hostd.model.domain import Domain
from hostd.model.stats import Sample
from hostd.model.world import World
from tests.support.builders import OTHER_UUID, UUID, facts, full_domain, world
from tests.support.numbers import STATS
from tests.support.pages import page_of, samples_of

GROUPS = ("state", "cpu", "balloon", "vcpu", "vcpu.0", "net", "net.0", "net.1", "block", "block.0", "block.1")
WORDS = (
    *("state", "reason", "time", "user", "system", "current", "maximum", "rss", "last-update", "count", "name", "path"),
    *("rd.reqs", "rd.bytes", "rd.times", "wr.bytes", "fl.reqs", "rx.bytes", "tx.drop", "capacity", "backingIndex"),
)
KEYS = st.builds("{}.{}".format, st.sampled_from(GROUPS), st.sampled_from(WORDS)) | st.text(max_size=12)
VALUES = (
    st.integers(-(2**70), 2**70)
    | st.integers(0, 5)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["vda", "vnet0", "", '"', "\\", "\n", "\0", "\ud800"])
    | st.booleans()
    | st.none()
    | st.binary(max_size=3)
    | st.lists(st.integers(), max_size=2)
)


def of_others(page: str) -> dict[object, float]:
    return {series: value for series, value in samples_of(page).items() if ("uuid", UUID) not in series[1]}


def sampled(known: World, params: dict[str, object]) -> World:
    surveyed = survey(params)
    sample = Sample(stats=domain_stats(params), has_answered=True)
    known = known.apply(changes.StatesSurveyed(states={UUID: (surveyed.state, surveyed.reason)}))
    return known.apply(changes.DomainsSampled(samples={UUID: sample}, at=1.0))


@given(st.dictionaries(KEYS, VALUES, max_size=25))
def test_the_page_is_whole_and_no_other_domains_samples_change(params: dict[str, object]) -> None:
    before = world(Domain(facts=facts(), stats=STATS), full_domain(OTHER_UUID, "beta"))
    page = page_of(sampled(before, params))
    assert of_others(page) == of_others(page_of(before))
    openmetrics = page_of(sampled(before, params), openmetrics=True)
    assert samples_of(openmetrics, openmetrics=True) == samples_of(page)
