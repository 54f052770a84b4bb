"""What was shell text with a VM's name in it: run as it is imported, with names that would be commands.

Each action is run by the machine's shells with the name where hostd has it, in the environment. The name has to arrive
as it is, and nothing it says may be done.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd.vhostmd.importing.shell import Rewritten, rewritten

SHELLS = [shell for shell in ("/bin/sh", "/bin/bash") if Path(shell).exists()]
UUID = "00000001-1111-1111-1111-111111111111"
CANARY = "CANARY"

HOSTILE = [
    f"a;touch {CANARY}",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"'; touch {CANARY}; '",
    f'"; touch {CANARY}; "',
    f"\"'`$(touch {CANARY})`'\"",
    f"a\ntouch {CANARY}\n",
    f"a | touch {CANARY} & touch {CANARY}",
    f"\\'; touch {CANARY} #",
    f'\\\\"; touch {CANARY}; \\',
    f")) ; touch {CANARY}; ((",
    f"}} ; touch {CANARY}; {{",
    f"x\nEOF\ntouch {CANARY}\n",
    f"${{x:=$(touch {CANARY})}}",
    "-rf",
    "--help",
    "* ? [a-z] ~",
    "  two  words  ",
    "\\n\\t%s%n",
    "$VIRTWIRE_DOMAIN_UUID ${HOME}",
    "ünïcode\u2028",
]

WHOLE = [  # an action, and what it prints before and after the name
    ("printf '%s' NAME", "", ""),
    ("printf %s NAME", "", ""),
    ("printf '%s' aNAMEb", "a", "b"),
    ('printf "%s" "NAME"', "", ""),
    ('printf "%s" "a NAME b"', "a ", " b"),
    ("printf '%s' 'NAME'", "", ""),
    ("printf '%s' 'a NAME b'", "a ", " b"),
    ("printf '%s' 'a'NAME\"b\"", "a", "b"),
    ("printf '%s' \"'NAME'\"", "'", "'"),
    ("printf '%s' '\"NAME\"'", '"', '"'),
    ("printf '%s' \\NAME", "", ""),
    ("printf '%s' \\'NAME", "'", ""),
    ("printf '%s' \\\\NAME", "\\", ""),
    ("printf '%s' \\$NAME", "$", ""),
    ('printf "%s" "\\NAME"', "\\", ""),
    ('printf "%s" "\\\\NAME"', "\\", ""),
    ('printf "%s" "\\"NAME\\""', '"', '"'),
    ('printf "%s" "\\$NAME"', "$", ""),
    ("printf '%s' HOSTNAME", "HOST", ""),
    ("printf '%s' NAME | cat", "", ""),
    ("( printf '%s' NAME )", "", ""),
    ("{ printf '%s' NAME; }", "", ""),
    ("true && printf '%s' NAME || false", "", ""),
    ("printf '%s' \\\n  NAME", "", ""),
    ("# don't say NAME\nprintf '%s' NAME", "", ""),
    ("if [ -n NAME ]; then printf '%s' NAME; fi", "", ""),
    ("case NAME in *) printf '%s' NAME;; esac", "", ""),
    ("for each in NAME; do printf '%s' \"$each\"; done", "", ""),
    ("of=NAME; printf '%s' \"$of\"", "", ""),
    ("OF_NAME=NAME; printf '%s' \"$OF_NAME\"", "", ""),
    ("OF_NAME=NAME; printf '%s' \"${OF_NAME}\"", "", ""),
    ("for NAME in NAME; do printf '%s' \"$NAME\"; done", "", ""),
    ("export OF=NAME; printf '%s' \"$OF\"", "", ""),
    ("printf '%s' \"${none:-NAME}\"", "", ""),
    ("awk -v of=NAME 'BEGIN {exit}'; printf '%s' NAME", "", ""),
    ("printf '%s' NAME 2>/dev/null", "", ""),
    ("printf '%s' \"$(printf '%s.' NAME)\"", "", "."),
    ("printf '%s' \"$(printf '%s.' \"NAME\")\"", "", "."),
    ("printf '%s' \"$(printf '%s.' 'NAME' # one ) of them\n)\"", "", "."),
    ("printf '%s' \"$(printf '%s' \"$(printf '%s.' 'a NAME b')\")\"", "a ", " b."),
    ("printf '%s' \"`printf '%s.' NAME`\"", "", "."),
    ("printf '%s' \"`printf '%s.' 'NAME'`\"", "", "."),
    ('printf "%s" "`printf %s. \\"NAME\\"`"', "", "."),
    ("x=`printf '%s.' \"NAME\"`; printf '%s' \"$x\"", "", "."),
    ("printf '%s' \"`printf '%s' \\\"\\`printf '%s.' NAME\\`\\\"`\"", "", "."),
    ("x=`printf %s. 'NAME' # one`; printf '%s' \"$x\"", "", "."),
    ("cat <<EOF\na NAME b\nEOF", "a ", " b\n"),
    ("cat <<EOF\n'NAME'\nEOF", "'", "'\n"),
]


def run(action: str, name: str, shell: str, *, connect: str | None = None) -> tuple[bytes, bool]:
    """What the imported action prints, and whether the name was a command."""
    script = rewritten(action, is_vm=True, has_connect=connect is not None)
    environment = {
        "PATH": os.environ["PATH"],
        "VIRTWIRE_DOMAIN_NAME": name,
        "VIRTWIRE_DOMAIN_ID": "7",
        "VIRTWIRE_DOMAIN_UUID": UUID,
        "VIRTWIRE_URI": connect or "qemu:///system",
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [shell, "-c", script.text]
        ended = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        return ended.stdout, (Path(folder) / CANARY).exists()


def of_vm(action: str) -> Rewritten:
    return rewritten(action, is_vm=True, has_connect=False)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("action", "before", "after"), WHOLE)
def test_a_name_arrives_whole_wherever_it_stands_and_is_never_code(
    action: str, before: str, after: str, shell: str
) -> None:
    for name in HOSTILE:
        printed, was_code = run(action, name, shell)
        assert (printed, was_code) == (f"{before}{name}{after}".encode(), False), (name, of_vm(action).text)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SIGNS = st.lists(st.sampled_from(["'", '"', "`", "$", "\\", "\n", ";", " ", "(", ")", "{", "}", "#", CANARY, "touch "]))


@settings(max_examples=150)
@given(template=st.sampled_from(WHOLE), name=TEXT | SIGNS.map("".join), shell=st.sampled_from(SHELLS))
def test_so_does_any_name(template: tuple[str, str, str], name: str, shell: str) -> None:
    action, before, after = template
    assert run(action, name, shell) == (f"{before}{name}{after}".encode(), False)


PIECES = ["'", '"', "`", "$(", "$((", "))", ")", "(", "${", "${x:-", "}", "\\", " ", "\n", ";", "|", "#", "<<E\n", "$'"]
PIECES += ["NAME", "NAME", "HOSTNAME", "VMID", "x=", "printf %s ", "case x in ", "x) ", ";; esac", "$NAME", "$x"]


@settings(max_examples=300)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=14),
    name=st.sampled_from(HOSTILE),
    shell=st.sampled_from(SHELLS),
)
def test_no_text_however_broken_makes_a_name_code(pieces: list[str], name: str, shell: str) -> None:
    _, was_code = run("".join(["NAME ", *pieces, " NAME"]), name, shell)
    assert not was_code


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("action", "printed"),
    [
        ("printf '%s' VMID", "7"),
        ("printf '%s' \"VMID-UUID\"", f"7-{UUID}"),
        ("printf '%s' $((VMID + 1))", "8"),
        ("printf '%s' UUUID", f"U{UUID}"),
        ("printf '%s' name vmid", "namevmid"),
    ],
)
def test_id_and_uuid_are_replaced_as_well_and_only_in_capitals(action: str, printed: str, shell: str) -> None:
    assert run(action, "a", shell) == (printed.encode(), False)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("action", "printed"),
    [
        ("printf '<%s>' CONNECT list", "<--connect><xen:///a?b=c d><list>"),
        ("sh -c \"printf '<%s>' CONNECT list\"", "<--connect><xen:///a?b=c d><list>"),
        ("printf '<%s>' 'CONNECT list'", "<--connect xen:///a?b=c d list>"),
    ],
)
def test_connect_is_the_option_and_the_uri_that_vhostmd_was_started_with(action: str, printed: str, shell: str) -> None:
    assert run(action, "a", shell, connect="xen:///a?b=c d") == (printed.encode(), False)


def test_connect_is_nothing_if_vhostmd_had_no_uri() -> None:
    assert of_vm("virsh CONNECT dominfo UUID").text == 'virsh  dominfo "$VIRTWIRE_DOMAIN_UUID"'
    assert of_vm("virsh NACONNECTME").text == 'virsh "$VIRTWIRE_DOMAIN_NAME"'  # it is the first that is replaced


def test_of_the_host_only_connect_is_replaced() -> None:
    action = "virsh CONNECT nodeinfo NAME VMID UUID"
    script = rewritten(action, is_vm=False, has_connect=True)
    assert script.text == 'virsh --connect "$VIRTWIRE_URI" nodeinfo NAME VMID UUID'
    assert script.tokens == {"CONNECT"}


def test_a_text_without_tokens_is_left_as_it_is() -> None:
    for action in ("free | awk '{print $2}'", "`date`", 'echo "', "cat <<'EOF'\nx\nEOF", "x) }", "$((", "\\"):
        script = of_vm(action)
        assert (script.text, script.dangers, script.tokens) == (action, (), frozenset())


DANGERS = [
    ("awk '/NAME/ {print $2}' /etc/labels", "awk may take NAME for program text"),
    ("virsh dominfo NAME | sed 's/NAME//'", "sed may take NAME for program text"),
    ("perl -e 'print \"NAME\"'", "perl may take NAME"),
    ("python3.11 -c 'print(\"NAME\")'", "python3.11 may take NAME"),
    ("sh -c 'echo NAME'", "sh may take NAME"),
    ('LC_ALL=C sudo -u nobody /bin/bash -c "echo NAME"', "bash may take NAME"),
    ("eval echo NAME", "eval may take NAME"),
    ("ssh host virsh dominfo NAME", "ssh may take NAME"),
    ("find /etc -name NAME -exec cat {} +", "find may take NAME"),
    ("xargs -I X virsh dominfo NAME", "xargs may take NAME"),
    ("echo NAME | xargs virsh dominfo", "xargs runs what it is given"),
    ("echo NAME | sh", "sh runs what it is given"),
    ('awk "/$(virsh domname NAME)/"', "awk may take NAME"),
    ('n=NAME; awk "/$n/ {print}"', "awk may take $n"),
    ("n=$(echo NAME); perl -e \"print '${n}'\"", "perl may take $n"),
    ('echo NAME | while read n; do awk "/$n/"; done', "awk may take $n"),
    ('for n in NAME; do awk "/$n/"; done', "awk may take $n"),
    ("[[ NAME -eq 1 ]]", "[[ may take NAME"),
    ("echo $((NAME + 1))", "NAME is within arithmetic"),
    ("echo ${x:-NAME}", "NAME is within ${…}"),
    ("NAME --metrics", "NAME is in the name of the program"),
    ("/opt/NAME/metrics", "NAME is in the name of the program"),
    ("true; timeout 5 NAME", "NAME is in the name of the program"),
    ("$(echo NAME)", "NAME is in the name of the program"),
    ("echo 1 > /tmp/NAME", "NAME is in the path of a file that is written"),
    ("cat <<EOF\nNAME\nEOF", "a here-document is not looked through"),
    ("echo 'NAME", "a ' is missing"),
    ("echo $(case NAME in a) echo 1;; esac)", "a `case` within $(…)"),
    ("echo $'NAME'", "is not the same in every shell"),
    ("n=NAME; $n --metrics", "the shell may take $n"),
    ("f() { $1; }; f NAME", "$1 is (in) the name of a program"),
    ("n=NAME; echo $((n + 1))", "arithmetic may take $n"),
    ("n=NAME; m=$n; echo ${x[m]}", "arithmetic may take $m"),
    ("[ -v NAME ]", "[ may take NAME"),
    ("echo NAME " + "(" * 4000, "it is nested too deep"),
    ("echo NAME " + "$(" * 4000, "it is nested too deep"),
    ('echo NAME "' + '"$(' * 4000, "it is nested too deep"),
]


@pytest.mark.parametrize(("action", "danger"), DANGERS)
def test_where_a_name_may_be_code_of_another_program_that_is_said(action: str, danger: str) -> None:
    assert any(danger in said for said in of_vm(action).dangers), of_vm(action)


@pytest.mark.parametrize(
    "action",
    [
        "virsh dominfo NAME | awk '/^CPU time/ {print $3}'",
        "cpus=$(virsh dominfo NAME | sed -n 's/^CPU(s): *//p'); echo \"$cpus\"",
        "virsh -c qemu:///system dominfo 'NAME' | grep -i cpu | tr -dc 0-9",
        "awk -v of=NAME '$1 == of {print $2}' /etc/labels",
        "awk '/VMID/' /proc/stat",
        "sudo -u qemu virsh dominfo NAME",
        "timeout 5 virsh dominfo NAME",
        "kib=$(virsh dominfo NAME | awk '/^Max/ {print $3}'); echo $((kib / 1024))",
        "if virsh domstate NAME | grep -q running; then echo 1; else echo 0; fi",
    ],
)
def test_nothing_is_said_of_what_is_harmless(action: str) -> None:
    assert of_vm(action).dangers == () or "NAME" not in of_vm(action).tokens


def test_a_token_within_a_word_is_replaced_as_vhostmd_did_and_said() -> None:
    script = of_vm("printf '%s' HOSTNAME NAMESPACE name")
    assert script.text == 'printf \'%s\' HOST"$VIRTWIRE_DOMAIN_NAME" "$VIRTWIRE_DOMAIN_NAME"SPACE name'
    assert script.accidents == ("HOSTNAME", "NAMESPACE")
    assert rewritten("grep CONNECTED", is_vm=False, has_connect=False).accidents == ("CONNECTED",)


def test_a_variables_own_name_is_left_alone_and_that_is_said() -> None:
    script = of_vm('VM_NAME=$(virsh domname VMID); echo "$HOSTNAME ${VM_NAME%x}"')
    assert script.text == 'VM_NAME=$(virsh domname "$VIRTWIRE_DOMAIN_ID"); echo "$HOSTNAME ${VM_NAME%x}"'
    assert script.kept == ("VM_NAME", "HOSTNAME")
    assert script.accidents == ()
