"""CASE/UCO graphs conform to the ontology as its own validators see it, say what was found, and nothing else."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rdflib import Graph, URIRef

from forensics.export import case_uco
from forensics.model import CaseInfo, ImageDigest

sys.path.insert(0, str(Path(__file__).parent))

import uco_made as made

UCO = "https://ontology.unifiedcyberontology.org/uco/"
ONTOLOGY = str(files("case_utils.ontology") / "case-1.5.0.ttl")
FILES = int(os.environ.get("FORENSICS_FILES", "100"))  # `make soak` asks for a thousand; a hundred have every kind in every state


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["@graph"]  # type: ignore[no-any-return]


def of_type(nodes: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [node for node in nodes if kind in ([node["@type"]] if isinstance(node.get("@type"), str) else node.get("@type", []))]


def case_validate(path: Path) -> str:
    """What the CASE project's validator says, against CASE 1.5.0 and without the network. Its warnings stand on standard error."""
    command = [sys.executable, "-c", "import sys; from case_utils.case_validate import main; sys.exit(main())"]
    done = subprocess.run([*command, "--built-version", "case-1.5.0", str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def shacl(path: Path) -> str:
    """What a SHACL engine written in Rust says of the shapes of CASE 1.5.0; warnings and advice count as faults."""
    command = [sys.executable, "-m", "pyshacl_turbo", "-s", ONTOLOGY, "-e", ONTOLOGY, "-df", "json-ld", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_a_graph_of_one_file_is_the_golden_one_which_the_validator_of_case_accepts(tmp_path: Path) -> None:
    golden = Path(__file__).parent / "data" / "one-file.jsonld"
    made.graph(tmp_path / "one-file.jsonld", [made.photo(1)])
    assert (tmp_path / "one-file.jsonld").read_bytes() == golden.read_bytes()
    said = case_validate(golden)
    assert "Conforms: True" in said
    assert "NonExistentCDOConcept" not in said  # a word of the ontology that is misspelt


def test_a_graph_of_many_files_conforms(tmp_path: Path) -> None:
    written = made.graph(tmp_path / "case.jsonld", made.mixed(FILES))
    nodes = read(tmp_path / "case.jsonld")
    assert written.rows == len(nodes)
    assert len(of_type(nodes, "analysis:AnalyticResult")) == FILES + 1
    assert len(of_type(nodes, "observable:File")) == FILES + 2  # and the inventory, and that of the last finding
    assert "Conforms: True" in shacl(tmp_path / "case.jsonld")


def test_the_validators_see_a_spoiled_graph(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.photo(1)])
    text = (tmp_path / "case.jsonld").read_text()
    (tmp_path / "case.jsonld").write_text(text.replace('"xsd:hexBinary"', '"xsd:string"').replace('"types:hashMethod":"SHA256",', ""))
    assert "Conforms: False" in shacl(tmp_path / "case.jsonld")


@pytest.mark.parametrize("case", [CaseInfo(), made.CASE])
def test_a_case_without_exhibits_and_records_conforms(tmp_path: Path, case: CaseInfo) -> None:
    empty: dict[str, Any] = {"exhibits": (), "methods": (), "custody": (), "images": {}, "inventory": None}
    made.graph(tmp_path / "case.jsonld", [], case=case, markings=case_uco.Markings(), **empty)
    assert "Conforms: True" in shacl(tmp_path / "case.jsonld")


def test_the_provenance_of_every_result_leads_back_to_the_exhibit(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.photo(1)])
    run = "import sys; from case_prov.case_prov_rdf import main; sys.exit(main())"
    check = "import sys; from case_prov.case_prov_check import main; sys.exit(main())"
    rdf, graph = str(tmp_path / "prov.ttl"), str(tmp_path / "case.jsonld")
    subprocess.run([sys.executable, "-c", run, rdf, graph], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", check, "--allow-warnings", graph, rdf], capture_output=True, text=True, check=False
    )  # it warns of the first step alone, which no step informed
    assert "Conforms: True" in done.stdout
    prov = Graph().parse(rdf)
    answer = prov.query(
        "PREFIX prov: <http://www.w3.org/ns/prov#> SELECT ?exhibit WHERE { ?finding prov:wasDerivedFrom ?image . "
        "?image prov:wasDerivedFrom ?exhibit . FILTER CONTAINS(STR(?finding), 'finding-') }"
    )
    assert any("exhibit-" in str(row[0]) for row in answer)  # type: ignore[index]


def test_received_acquired_examined_and_reported_inform_one_another(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.photo(1)])
    actions = {node["@id"]: node for node in of_type(read(tmp_path / "case.jsonld"), "investigation:InvestigativeAction")}
    action = next(node for node in actions.values() if node["core:name"] == "reported")
    chain = [action["core:name"]]
    while before := action.get("investigation:wasInformedBy"):
        action = actions[before[0]["@id"]]
        chain.append(action["core:name"])
    assert chain == ["reported", "examined", "acquired", "received"]


def test_an_acquisition_before_the_reception_informs_the_reception(tmp_path: Path) -> None:
    late = made.line(3, "received", "2026-1", purpose="examination")
    made.graph(tmp_path / "case.jsonld", [], custody=(late,))
    actions = {node["@id"]: node for node in of_type(read(tmp_path / "case.jsonld"), "investigation:InvestigativeAction")}
    received = next(node for node in actions.values() if node["core:name"] == "received" and "action:startTime" in node)
    assert actions[received["investigation:wasInformedBy"][0]["@id"]]["core:name"] == "acquired"


def test_a_part_names_the_root_exhibit(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [])
    records = of_type(read(tmp_path / "case.jsonld"), "investigation:ProvenanceRecord")
    numbers = {node["investigation:exhibitNumber"]: node for node in records if "investigation:exhibitNumber" in node}
    assert numbers["2026-1-1"]["investigation:rootExhibitNumber"] == "2026-1"
    assert numbers["2026-1"]["investigation:rootExhibitNumber"] == "2026-1"


def test_parents_in_a_circle_end(tmp_path: Path) -> None:
    circle = (msgspec.structs.replace(made.PHONE, parent_exhibit="2026-1-1"), made.SIM)
    made.graph(tmp_path / "case.jsonld", [], exhibits=circle)
    assert read(tmp_path / "case.jsonld")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")
def test_the_finding_reads_back_as_rdf(tmp_path: Path) -> None:
    found = made.photo(1)
    made.graph(tmp_path / "case.jsonld", [found, made.passport(1)])
    graph = Graph().parse(tmp_path / "case.jsonld", format="json-ld")
    rows = list(
        graph.query(
            f"""PREFIX obs: <{UCO}observable/> PREFIX core: <{UCO}core/> PREFIX loc: <{UCO}location/> PREFIX types: <{UCO}types/>
            SELECT ?path ?size ?hash ?lat ?long ?high ?model WHERE {{
            ?file core:hasFacet ?f . ?f obs:filePath ?path ; obs:sizeInBytes ?size .
            ?file core:hasFacet ?c . ?c obs:hash ?h . ?h types:hashMethod "SHA256" ; types:hashValue ?hash .
            ?file core:hasFacet ?e . ?e obs:exifData ?d . ?d types:entry ?entry . ?entry types:key "Model" ; types:value ?model .
            ?rel core:source ?file ; core:target ?place . ?place core:hasFacet ?p . ?p loc:latitude ?lat ; loc:longitude ?long ;
            loc:altitude ?high
            }}"""
        )
    )
    assert len(rows) == 1
    path, size, digest, latitude, longitude, high, model = (value.toPython() for value in rows[0])  # type: ignore[union-attr]
    assert (path, size, model) == ("/DCIM/00001.jpg", 1234, "Model 1")
    assert digest.hex() == made.examined(found.location).digests.sha256  # type: ignore[union-attr]
    assert (float(latitude), float(longitude), float(high)) == (13.7553, 1e-07, -2.5)
    assert "E" not in str(longitude).upper() or longitude == longitude.normalize()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")
def test_every_identifier_ends_in_a_uuid_and_no_node_is_blank(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", made.mixed(6))
    graph = Graph().parse(tmp_path / "case.jsonld", format="json-ld")
    for subject in set(graph.subjects()):
        assert isinstance(subject, URIRef)
        assert str(subject)[-37] == "-"
        assert len(str(subject)[-36:].split("-")) == 5


def test_a_file_with_several_findings_stands_once(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.photo(1), made.passport(1), made.rule(1)])
    assert len([node for node in of_type(read(tmp_path / "case.jsonld"), "observable:File") if node["core:name"] == "00001.jpg"]) == 1


def test_detail_that_uco_has_no_facet_for_stands_in_a_class_of_our_own(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.passport(1)])
    (result,) = of_type(read(tmp_path / "case.jsonld"), "analysis:AnalyticResult")
    facet = next(facet for facet in result["core:hasFacet"] if "forensics:TravelDocumentFacet" in facet["@type"])
    assert facet["found:document_number"] == "L898902C3"
    assert json.loads(facet["found:mrz"]) == ["P<UTOERIKSSON<<ANNA", "L898902C36UTO"]
    assert json.loads(facet["forensics:otherData"]) == {"an odd name": "x"}


def test_a_rule_match_is_classified_by_its_rule(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.rule(1)])
    (result,) = of_type(read(tmp_path / "case.jsonld"), "analysis:AnalyticResult")
    facet = next(each for each in result["core:hasFacet"] if each["@type"] == "analysis:ArtifactClassificationResultFacet")
    assert facet["analysis:classification"]["analysis:class"] == ["rule-match", "Fee"]


def test_times_keep_what_is_known_of_their_zone(tmp_path: Path) -> None:
    made.graph(tmp_path / "case.jsonld", [made.photo(1)])
    (file,) = (node for node in of_type(read(tmp_path / "case.jsonld"), "observable:File") if node["core:name"] == "00001.jpg")
    facet = file["core:hasFacet"][0]
    assert facet["observable:modifiedTime"]["@value"] == "2026-10-01T12:00:00.123456789Z"
    assert facet["observable:accessedTime"]["@value"] == "2026-10-01T12:00:00"
    assert "observable:metadataChangeTime" not in facet  # it was no time


def test_text_that_rdf_cannot_hold_is_escaped_and_hostile_names_conform(tmp_path: Path) -> None:
    path = r"/a\x00\xff\\x3b <b>{{x}}"
    found = made.record(1, "photo", "a\x00b\ud800\U0001f600", path=path, data={"gps_latitude": 91.0, "gps_longitude": 0.0, "x": "\x1b[0m"})
    made.graph(tmp_path / "case.jsonld", [found], files=lambda location: None)
    assert "Conforms: True" in shacl(tmp_path / "case.jsonld")
    nodes = read(tmp_path / "case.jsonld")
    assert of_type(nodes, "analysis:AnalyticResult")[0]["core:description"] == "a\\x00b\\ud800\U0001f600"
    assert not of_type(nodes, "location:Location")  # 91 degrees north is nowhere


def test_the_same_case_gives_the_same_bytes(tmp_path: Path) -> None:
    first = made.graph(tmp_path / "1.jsonld", made.mixed(20))
    second = made.graph(tmp_path / "2.jsonld", made.mixed(20))
    assert first.sha256 == second.sha256


def test_nothing_enters_but_what_is_passed(tmp_path: Path) -> None:
    """For a disclosure: no digest out of the custody log, no name made of what can be guessed, nothing of what is withheld."""
    withheld = made.CUSTODY[1]
    custody = (made.CUSTODY[0], msgspec.structs.replace(withheld, body=None, object="", by=None), *made.CUSTODY[2:])
    given: dict[str, Any] = {
        "custody": custody,
        "exhibits": (made.PHONE,),
        "images": {"2026-1": ImageDigest(format="EWF-E01", size=4096, sha256="")},
        "files": lambda location: None,
        "inventory": None,
    }
    found = msgspec.structs.replace(made.photo(1), id="6e" * 16, sha256=None)
    made.graph(tmp_path / "a.jsonld", [found], names=case_uco.names_from("5f" * 16), **given)
    text = (tmp_path / "a.jsonld").read_text().lower()
    assert made.RUN_DIGEST not in text
    assert made.BODY not in text
    assert "2026-1-1" not in text
    assert "types:hash" not in text.replace("types:hashvalue", "")
    made.graph(tmp_path / "b.jsonld", [found], names=case_uco.names_from("60" * 16), **given)
    ids = [{node["@id"] for node in read(tmp_path / name)} for name in ("a.jsonld", "b.jsonld")]
    assert not ids[0] & ids[1]
