"""Reading a signature's three headers: the general reader, and the fast one that must agree with it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aauthlib.errors import AAuthError, InvalidSignature
from aauthlib.httpsig import JWT, Component, fast_read, members
from aauthlib.httpsig.members import Member, read_dictionary

SIGNATURE = b64encode(bytes(range(64))).decode()
SCHEMES = ("jwt", "hwk", "jkt-jwt", "jwks_uri")


def read(signature_input: str, signature: str = f"sig=:{SIGNATURE}:", key: str = 'sig=jwt;jwt="a"') -> Member:
    return members.read(signature_input, signature, key, schemes=SCHEMES)


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2")
def test_the_members_of_one_label_are_read_together() -> None:
    member = read('sig=("@method" "x-a");created=7;keyid="k"')
    assert (member.label, member.covered) == ("sig", ("@method", "x-a"))
    assert member.parameters == {"created": 7, "keyid": "k"}
    assert member.params == '("@method" "x-a");created=7;keyid="k"'
    assert member.signature == bytes(range(64))
    assert member.load() == JWT("a")


@pytest.mark.spec("rfc9421#2.3")
@pytest.mark.parametrize(
    "params",
    [
        '("@method");created=1;nonce="a,b=\\"(;"',
        '("@method");created=1;x=:AAAA:;y=tok/n;z=1.5;w=?0;v',
        '("a\\"b" "c,d");created=1',
        "();created=1",
    ],
)
def test_every_parameter_is_kept_known_or_not(params: str) -> None:
    header = f'first=("x,y");created=9;nonce="sig=(", sig={params}, last=()'
    signatures = ", ".join(f"{label}=:{SIGNATURE}:" for label in ("first", "sig", "last"))
    member = members.read(header, signatures, 'sig=jwt;jwt="a"', schemes=SCHEMES)
    assert member.params == params


@pytest.mark.spec("rfc9421#3.2")
@pytest.mark.parametrize(
    ("received", "params"),
    [
        ('(  "@method"   "x-a" );created=7', '("@method" "x-a");created=7'),
        ('("@method" "x-a");  created=7;   keyid="k"', '("@method" "x-a");created=7;keyid="k"'),
        ('("@method" "x-a");created=0007;d=1.50;t=?1', '("@method" "x-a");created=7;d=1.5;t'),
        ('("@method" "x-a");created=6;keyid="k";created=7', '("@method" "x-a");created=7;keyid="k"'),
        ("();created=7", "();created=7"),
    ],
)
def test_the_base_ends_in_the_parameters_serialised_whatever_their_spelling(received: str, params: str) -> None:
    assert read(f"sig={received}").params == params


@pytest.mark.spec("signature-key#3.2")
def test_of_several_labels_the_first_with_an_accepted_scheme_is_selected() -> None:
    header = ", ".join(f'{label}=("@method");created={n}' for n, label in enumerate("abcd"))
    signatures = ", ".join(f"{label}=:{SIGNATURE}:" for label in "abcd")
    keys = 'a=x509, b=jwt, c=jwks_uri;id="i";dwk="d";kid="k", d=jwt;jwt="t"'
    assert members.read(header, signatures, keys, schemes=("jwt",)).label == "d"
    assert members.read(header, signatures, keys, schemes=SCHEMES).label == "c"
    assert members.read(header, signatures, keys, schemes=("hwk",)).label == "a"


@pytest.mark.spec("signature-key#3.1")
def test_a_label_that_lacks_in_one_header_is_passed_over() -> None:
    header = 'a=("@method");created=1, b=("@path");created=2'
    member = members.read(header, f"a=:AA==:, b=:{SIGNATURE}:", 'b=jwt;jwt="t"', schemes=SCHEMES)
    assert member.label == "b"
    for input_, signature, key in (
        ("x=()", "sig=:AA==:", "sig=jwt"),
        ("sig=()", "x=:AA==:", "sig=jwt"),
        ("sig=()", "sig=:AA==:", "x=jwt"),
    ):
        with pytest.raises(InvalidSignature, match="No label"):
            members.read(input_, signature, key, schemes=SCHEMES)


INPUT = 'sig=("@method");created=1'


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2", "signature-key#3.2")
@pytest.mark.parametrize("again", [True, False], ids=["the same once more", "another"])
@pytest.mark.parametrize("which", ["Signature-Input", "Signature", "Signature-Key"])
def test_a_label_that_stands_twice_in_a_header_is_refused(which: str, again: bool) -> None:
    headers = {"Signature-Input": INPUT, "Signature": f"sig=:{SIGNATURE}:", "Signature-Key": 'sig=jwt;jwt="a"'}
    other = {"Signature-Input": 'sig=("@path");created=2', "Signature": "sig=:AA==:", "Signature-Key": "sig=hwk"}
    assert read(*headers.values()).label == "sig"
    headers[which] = f"{headers[which]}, {headers[which] if again else other[which]}"
    with pytest.raises(InvalidSignature, match=f"^{which} has one label twice"):
        read(*headers.values())


@pytest.mark.spec("rfc9421#4.3", "signature-key#3.2")
@pytest.mark.parametrize("which", range(3))
def test_a_label_twice_is_refused_also_when_another_is_selected(which: int) -> None:
    headers = [f'ok=("@method");created=1, {INPUT}', f"ok=:{SIGNATURE}:, sig=:AA==:", 'ok=jwt;jwt="a", sig=jwt;jwt="b"']
    assert members.read(*headers, schemes=SCHEMES, chosen="ok").label == "ok"  # type: ignore[misc]
    headers[which] += ", x=1, sig=1"
    with pytest.raises(InvalidSignature, match="one label twice"):
        members.read(*headers, schemes=SCHEMES, chosen="ok")  # type: ignore[misc]


def test_labels_that_differ_in_more_than_their_beginning_are_two() -> None:
    header = 'sig=("@method");created=1, sig1=("@path");created=2, si=()'
    assert list(read_dictionary(header, "Signature-Input")) == ["sig", "sig1", "si"]


@pytest.mark.spec("rfc9421#4.1")
@pytest.mark.parametrize(
    "signature_input",
    [
        "sig",
        "sig=1",
        'sig="@method"',
        "sig=(method)",
        "sig=(1)",
        'sig=("@method";req)',
        'sig=("x-a";sf)',
        'sig=("@query-param";name="x")',
        'sig=("a" "a")',
        'sig=("Content-Type")',
        'sig=("@method"',
        "",
        "é",
    ],
)
def test_a_malformed_signature_input_is_refused(signature_input: str) -> None:
    with pytest.raises(InvalidSignature):
        read(signature_input)


@pytest.mark.spec("#covered-components", "rfc9421#2.1", "rfc9421#2.2.8")
def test_component_parameters_are_read_only_where_they_are_accepted() -> None:
    header = 'sig=("@method" "@query-param";name="q" "x-a";key="k");created=1'
    arguments = (f"sig=:{SIGNATURE}:", 'sig=jwt;jwt="a"')
    member = members.read(header, *arguments, schemes=SCHEMES, component_parameters=("name", "key"))
    assert member.covered == ("@method", Component.of("@query-param", name="q"), Component.of("x-a", key="k"))
    for accepted in ((), ("name",), ("sf", "bs", "req")):
        with pytest.raises(InvalidSignature, match="parameters"):
            members.read(header, *arguments, schemes=SCHEMES, component_parameters=accepted)


@pytest.mark.spec("#untrusted-input")
def test_labels_and_components_are_bounded() -> None:
    nine = [f"s{n}" for n in range(9)]
    signatures = ", ".join(f"{label}=:AA==:" for label in nine)
    keys = ", ".join(f'{label}=jwt;jwt="t"' for label in nine)
    with pytest.raises(InvalidSignature, match="more than 8"):
        members.read(", ".join(f"{label}=()" for label in nine), signatures, keys, schemes=SCHEMES)
    many = " ".join(f'"x{n}"' for n in range(65))
    with pytest.raises(InvalidSignature, match="length"):
        read(f"sig=({many});created=1")


# --------------------------------------------------------------------------- the fast reader


def _mostly(usual: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """What clients send, and now and then what they should not."""
    return st.integers(0, 19).flatmap(lambda n: st.sampled_from(odd if n == 13 else usual))


@st.composite
def signature_inputs(draw: st.DrawFn, label: str) -> str:
    names = draw(st.lists(_mostly(["@method", "@path", "signature-key", "x"], ["X-A", "a b", 'q\\"', "é"]), max_size=4))
    space = draw(_mostly([" "], ["  ", ""]))
    value = label + "=(" + space.join(f'"{name}"' for name in names) + ")"
    value += draw(_mostly([";created=1"], ["", ";created=0001", ";created=-1", ";created=1.0", ";created=" + "9" * 16]))
    value += draw(
        _mostly(["", ";expires=9", ';keyid="k"', ';expires=9;keyid="~ k"'], [';alg="x"', ";created=2", ';keyid="k\\""'])
    )
    return value + draw(_mostly([""], [" ", ", b=()", ";tag=tok"]))


@st.composite
def signatures(draw: st.DrawFn, label: str) -> str:
    octets = b64encode(draw(st.binary(min_size=64, max_size=64))).decode()
    odd = [octets.rstrip("="), octets[:-3] + "/==", octets.replace("A", "-"), octets + "=", octets[4:]]
    return label + "=:" + draw(_mostly([octets], odd)) + draw(_mostly([":"], ["", ":;x", ": "]))


@st.composite
def keys(draw: st.DrawFn, label: str) -> str:
    value = label + "=" + draw(_mostly(["jwt", "hwk", "jwks_uri", "jkt-jwt"], ["x509", '"jwt"', "Jwt"]))
    for name in draw(st.lists(st.sampled_from(["jwt", "kty", "x", "id", "dwk", "kid", "alg"]), max_size=4)):
        text = draw(_mostly(['="v"', '="a.b.c"', '="a b"'], ['=""', '="a;b"', '="a\\"b"', "=tok", "", '="é"', '="']))
        value += f";{name}{text}"
    return value + draw(_mostly([""], [" ", ", z=jwt", '"']))


LABEL = _mostly(["sig", "s1", "a_b-c"], ["a.b", "*", "Sig", ""])
HEADERS = LABEL.flatmap(lambda label: st.tuples(signature_inputs(label), signatures(label), keys(label)))


def _loaded(member: Member) -> object:
    try:
        return member.load()
    except AAuthError as error:
        return type(error), error.detail


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2", "signature-key#3")
@settings(max_examples=500)
@given(HEADERS)
def test_the_fast_reader_reads_what_the_general_one_reads(headers: tuple[str, str, str]) -> None:
    signature_input, signature, key = headers
    fast = fast_read.read(signature_input, signature, key)
    if fast is None:
        return
    general = members.read(signature_input, signature, key, schemes=SCHEMES)
    assert (fast.label, fast.covered, fast.params) == (general.label, general.covered, general.params)
    assert (dict(fast.parameters), fast.signature) == (dict(general.parameters), general.signature)
    assert _loaded(fast) == _loaded(general)


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2", "signature-key#3.2")
@settings(max_examples=300)
@given(HEADERS, HEADERS, st.integers(0, 2), st.sampled_from([", ", ",", " , "]))
def test_the_fast_reader_never_takes_a_header_of_two_members(
    headers: tuple[str, str, str], others: tuple[str, str, str], which: int, comma: str
) -> None:
    doubled = list(headers)
    doubled[which] += comma + others[which]
    assert fast_read.read(*doubled) is None  # type: ignore[arg-type]
    doubled[which] = headers[which] + comma + headers[which]
    assert fast_read.read(*doubled) is None  # type: ignore[arg-type]
    with pytest.raises(InvalidSignature):
        members.read(*doubled, schemes=SCHEMES)  # type: ignore[misc]


def test_the_fast_reader_takes_what_clients_send() -> None:
    base = 'sig=("@method" "@authority" "@path" "signature-key");created=1800000000'
    for key in (
        'sig=jwt;jwt="a.b.c"',
        'sig=hwk;kty="OKP";crv="Ed25519";x="AA";alg="Ed25519"',
        'sig=jwks_uri;id="https://a.example";dwk="d";kid="k"',
    ):
        assert fast_read.read(base, f"sig=:{SIGNATURE}:", key) is not None


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    ("input_length", "key_length", "taken"), [(1024, 16_384, True), (1025, 20, False), (50, 16_385, False)]
)
def test_the_fast_reader_takes_nothing_longer_than_its_limits(input_length: int, key_length: int, taken: bool) -> None:
    before = 'sig=("@method");created=1;keyid="'
    signature_input = before + "k" * (input_length - len(before) - 1) + '"'
    key = 'sig=jwt;jwt="' + "a" * (key_length - 14) + '"'

    member = fast_read.read(signature_input, f"sig=:{SIGNATURE}:", key)

    assert (len(signature_input), len(key)) == (input_length, key_length)
    assert (member is not None) is taken


@pytest.mark.spec("signature-key#3.2")
def test_the_fast_reader_takes_no_string_of_a_single_quote() -> None:
    assert fast_read.read('sig=("@method");created=1', f"sig=:{SIGNATURE}:", 'sig=jwt;jwt="') is None


@pytest.mark.spec("#untrusted-input")
def test_the_fast_reader_leaves_too_many_components_to_the_general_one() -> None:
    many = " ".join(f'"x{n}"' for n in range(65))
    assert fast_read.read(f"sig=({many});created=1", f"sig=:{SIGNATURE}:", 'sig=jwt;jwt="a"') is None


@pytest.mark.spec("#untrusted-input")
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_headers_make_reading_fail_otherwise(signature_input: str, signature: str, key: str) -> None:
    assert fast_read.read(signature_input, signature, key) is None
    with pytest.raises(InvalidSignature):
        members.read(signature_input, signature, key, schemes=SCHEMES)


@pytest.mark.spec("rfc9421#4.1")
@pytest.mark.parametrize(("count", "taken"), [(8, True), (9, False)])
def test_no_more_than_eight_signatures_are_read(count: int, taken: bool) -> None:
    field = ", ".join(f'sig{number}=("@method")' for number in range(count))

    if taken:
        assert len(read_dictionary(field, "Signature-Input")) == count
    else:
        with pytest.raises(InvalidSignature, match="more than 8"):
            read_dictionary(field, "Signature-Input")


@pytest.mark.spec("rfc9421#4.1")
@pytest.mark.parametrize(("count", "taken"), [(64, True), (65, False)])
def test_no_more_than_64_components_are_read(count: int, taken: bool) -> None:
    components = [(f"x-{number}", {}) for number in range(count)]

    if taken:
        assert len(members.covered_components(components, ())) == count
    else:
        with pytest.raises(InvalidSignature, match="acceptable length"):
            members.covered_components(components, ())
