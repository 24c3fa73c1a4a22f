"""What pods do beside each other: no blob is committed twice, and nobody deletes what another needs."""

from tests.pods.company import Company, awaits, frozen, held
from tests.support.content import MIB, Content
from tests.support.link import Link
from tests.support.proxy import FaultProxy
from tests.support.service import Service
from tests.support.waiting import until


def in_mid_transfer(company: Company, link: Link, pod: Service, session: str) -> None:
    link.limit(3 * MIB)
    company.write(session, files=4)
    until(
        lambda: any(flight["state"] == "uploading" and flight["done"] for flight in pod.status()["in_flight"]),
        within=30,
        what=lambda: f"a file of {session} is being sent\n{pod.report()}",
    )


def committed_once(company: Company, proxy: FaultProxy) -> None:
    company.site.all_arrived()
    assert set(proxy.commits().values()) == {1}, proxy.commits()


def test_a_session_that_changes_hands_in_mid_transfer_commits_each_blob_once(company: Company, link: Link, proxy: FaultProxy) -> None:
    """And staging of the pod that lost it is empty in the end."""
    pods = {name: company.serve(name) for name in ("pod-a", "pod-b", "pod-c")}
    pods["pod-a"].start_session("s")
    pods["pod-b"].start_session("t")
    in_mid_transfer(company, link, pods["pod-b"], "t")
    in_mid_transfer(company, link, pods["pod-a"], "s")
    pods["pod-a"].crash()
    awaits(pods["pod-c"], "s")
    again = company.serve("pod-a")
    link.limit(None)
    committed_once(company, proxy)
    assert (held(again), held(pods["pod-b"])) == (None, "t")


def test_a_session_that_wanders_from_pod_to_pod_commits_each_blob_once(company: Company, link: Link, proxy: FaultProxy) -> None:
    """Each successor finds claimed files, blocks that Azure has, and staged copies that its own last life left."""
    holder, free = company.serve("pod-0"), company.serve("pod-1")
    holder.start_session("s")
    in_mid_transfer(company, link, holder, "s")
    for number in range(4):
        holder.crash()
        awaits(free, "s")
        holder, free = free, company.serve(f"pod-{number % 2}")
    link.limit(None)
    committed_once(company, proxy)


def test_a_pod_sweeps_nothing_of_a_session_that_another_holds(company: Company) -> None:
    """Neither its marks nor its record, however empty; and it does sweep what is nobody's."""
    owner = company.serve("pod-a")
    owner.start_session("s")
    record = company.site.processing("s")
    actors = [actor.pid for actor in owner.actors().values() if actor.name != "keeper"]
    other = company.serve("pod-b")
    with frozen(*actors):
        mark = record / "theirs.bin.completed"
        mark.write_bytes(b"theirs")
        nobodys = company.site.processing("nobodys", "20250102")
        nobodys.mkdir(parents=True)
        (nobodys / "old.bin.completed").write_bytes(b"sent before")
        (nobodys / "left.bin").write_bytes(b"left")
        # Nothing proves what the marked files were when they were sent, so they are looked for in Azure again, and sent.
        for blob, content in (("20250102/nobodys/left.bin", b"left"), ("20250102/nobodys/old.bin", b"sent before")):
            company.site.expect_blob(blob, Content.of([content]))
        company.site.expect_blob(f"{record.parent.name}/s/theirs.bin", Content.of([b"theirs"]))
        until(lambda: not any(nobodys.glob("*")), within=60, what=lambda: f"what is nobody's is swept\n{other.report()}")
        assert mark.exists()
    until(lambda: not mark.exists(), within=30, what="its owner sweeps it")
    assert record.is_dir()
    company.site.all_arrived()
    assert held(owner) == "s"
