"""Completion of ``mrcert`` in bash, zsh and fish: commands, groups and their options, settings and values."""

from collections.abc import Iterable, Iterator, Sequence

from mrcert_pl.cli import usage
from mrcert_pl.cli.configuration import CONF_DIR

_BASH = """\
_mrcert() {
    local line="${COMP_LINE:0:COMP_POINT}" found
    # bash divides words at "=": the part before it stays on the line.
    local word="${line##* }"
    local kept="${word%"$2"}"
    COMPREPLY=()
    while IFS= read -r found; do COMPREPLY+=("${found#"$kept"}"); done < <("$1" --complete "$line" 2>/dev/null)
}
complete -o default -o nospace -F _mrcert mrcert
"""
_ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_mrcert() {
    local -a found=("${(@f)$(mrcert --complete "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then
        compadd -Q -S '' -- $found
    else
        compset -P '*='
        _files
    fi
}
compdef _mrcert mrcert
"""
_FISH = """\
function __mrcert_candidates
    mrcert --complete (commandline -cp | string collect) 2>/dev/null | string trim --right
end
complete -c mrcert -f -n 'test (count (__mrcert_candidates)) -gt 0' -a '(__mrcert_candidates)'
complete -c mrcert -F -n 'test (count (__mrcert_candidates)) -eq 0'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""Scripts that ``mrcert --completion SHELL`` prints. Without candidates a shell completes file names."""

_FLAGS = ("--help", "--multirun", "--cfg", "--resolve", "--info", "--hydra-help")


def candidates(line: str, commands: Iterable[str]) -> list[str]:
    """Return the candidates for the last word of a command line.

    Args:
        line: The line up to the cursor, with the program.
        commands: Names of the commands; a name may have two words.
    """
    words = line.split()
    current = "" if not words or line[-1].isspace() else words[-1]
    given = words[1:] if current == "" else words[1:-1]
    name = next((name for name in commands if given[: len(name.split())] == name.split()), None)
    if name is None:
        following = (name.split()[len(given) :] for name in commands if name.split()[: len(given)] == given)
        found: Iterable[str] = {f"{rest[0]} " for rest in following if rest}
        found = [*found, "--help ", "--version "] if not given else found
    else:
        found = _of_command(name.replace(" ", "_"), given[len(name.split()) :], current)
    return sorted({candidate for candidate in found if candidate.startswith(current)})


def _of_command(name: str, given: Sequence[str], current: str) -> Iterator[str]:
    """Yield the arguments of a command; those without a configuration take files."""
    file = CONF_DIR / f"{name}.yaml"
    if not file.is_file():
        return
    groups, settings = usage.groups_of(file), usage.settings_of(file)
    key, equals, value = current.partition("=")
    if equals:
        switches = {setting.name for setting in settings if setting.value in ("true", "false")}
        before = value.rpartition(",")
        values = groups.get(key, ["true", "false"] if key in switches else [])
        # A comma goes on with the next value of a sweep.
        yield from (f"{key}={before[0]}{before[1]}{each}" for each in values)
    elif current.startswith("-"):
        yield from (f"{flag} " for flag in _FLAGS)
    else:
        names = [setting.name for setting in settings]
        group, dot, _ = current.partition(".")
        if dot and group in groups:
            chosen = [word.partition("=")[2] for word in given if word.startswith(f"{group}=")]
            names += usage.names_in(group, [option for option in chosen if option in groups[group]] or ["*"])
        yield from (f"{each}=" for each in groups)
        # Settings inside a part are offered once the part is typed.
        yield from (f"{each}=" if "." not in each or dot else f"{each.partition('.')[0]}." for each in names)
