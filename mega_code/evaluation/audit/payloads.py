"""Rules about running what nobody has read: downloads and encoded commands."""

from __future__ import annotations

from mega_code.evaluation.audit.command_rule import CODE, HIDES, RUNS, rule
from mega_code.evaluation.audit.finding import HIGH, MEDIUM
from mega_code.evaluation.audit.patterns import FETCH, SHELL

_FETCHES = "curl wget iwr irm invoke- fetch aria2c lwp-"
_TO_SHELL = rf"\|&?\s*{SHELL}"
_DECODE = (
    r"(?:b(?:64|32|85)decode|a85decode|fromhex|unhexlify|decompress|atob\s?\(|fromcharcode|codecs\.decode|bytes\(\["
    r"|bytearray\(\[|chr\(|from_hex|buffer\.from\([^)]{0,300}(?:base64|hex)|marshal\.loads|unpack\(|frombase64string"
    r"|\[::-1\]|\.reverse\(\)\.join)"
)
DOWNLOADS = (
    rule(
        "pipe-to-shell",
        RUNS,
        HIGH,
        _FETCHES,
        rf"{FETCH}(?=[^\n]{{0,300}}(?:://|[$]|\s-|\w\.\w|\.{{3}}))[^\n]{{0,400}}?{_TO_SHELL}",
        "It runs what it downloads, unread.",
    ),
    rule(
        "shell-of-download",
        RUNS,
        HIGH,
        _FETCHES,
        rf"(?:(?:\b(?:eval|source|exec)|(?:ba|z|da|k)?sh(?:\s+-\w+)*|^\s*\.|[;&|]\s*\.|python[\d.]*(?:\s+-c)?|node(?:\s+-e)?|perl(?:\s+-e)?)\s+[\"']?|<<<\s*[\"']?)(?:[$<]\(|`)\s*{FETCH}",
        "It runs what it downloads, unread.",
    ),
    rule(
        "powershell-download",
        RUNS,
        HIGH,
        "iex invoke-expression downloadstring downloadfile",
        r"\b(?:iex|invoke-expression)\b[^\n]{0,200}(?:iwr|irm|invoke-webrequest|invoke-restmethod|downloadstring|webclient)|(?:iwr|irm|invoke-webrequest|invoke-restmethod|downloadstring)\b[^\n]{0,200}\|\s*(?:iex|invoke-expression)\b|downloadfile\([^\n]{0,300}(?:start-process|\.exe)",
        "It runs what it downloads, unread.",
    ),
    rule(
        "exec-of-download",
        RUNS,
        HIGH,
        "eval exec function( system( __import__ import(",
        r"\b(?:exec|eval|compile|new function|os\.system|execsync|vm\.run\w*)\s*\(\s*(?:\w+\()?[^\n]{0,80}(?:urlopen|requests\.get|httpx\.get|urllib|fetch\s*\(|axios|https?['\")]{0,2}\.get|http\.client|read_url)|(?:fetch|axios(?:\.get)?|https?['\\\")]{0,4}\.get|\$\.get)\s*\([^\n]{0,300}\b(?:eval|new function|runin\w*context)\b|\bimport\(\s*[\"'`](?:https?|data):",
        "It runs what it downloads, unread.",
    ),
    rule(
        "runs-address",
        RUNS,
        HIGH,
        "deno node",
        r"\bdeno\s+run\b[^\n|;&]{0,160}https?://|\bnode\b[^\n|;&]{0,80}--import[= ][\"']?(?:data:|https?:)",
        "It runs a program straight from an address.",
    ),
    rule(
        "install-script",
        RUNS,
        HIGH,
        "install prepare",
        r"[\"'](?:pre|post)?(?:install|prepare)[\"']\s*:\s*\\?[\"'][^\n]{0,200}?(?:\bcurl\b|\bwget\b|\bnode\s+-e\b|https?://"
        r"|\beval\b|\bbase64\b|python[\d.]*\s+-c)",
        "A package runs code from the network as it is installed.",
        *CODE,
    ),
    rule(
        "strange-package",
        RUNS,
        MEDIUM,
        "pip uv npm npx pnpm yarn gem go cargo bun easy_install",
        r"\b(?:pip[\d.]*|uv|pipx|easy_install)\s+(?:\w+\s+){0,2}(?:install|add|run|tool)?\b[^\n|;&]{0,200}?(?:\bgit\+(?:https?|ssh)://|\s[\"']?https?://|--(?:extra-)?index-url[= ]\s*[\"']?http|\s-i\s+[\"']?http|--trusted-host|--find-links[= ]\s*http)|\b(?:npm|pnpm|yarn|bun)\s+(?:i|install|add|exec|x|dlx|create|ci|config\s+set)\b[^\n|;&]{0,120}?(?:\bgit\+(?:https?|ssh)://|\s[\"']?https?://|\bgithub:|\bregistry[= ]\s*http|\bgist:)|\b(?:npx|bunx)\s+(?:-\S+\s+){0,4}[\"']?(?:git\+\w+://|https?://|github:|gist:)|\b(?:gem|cargo)\s+install\s+[^\n|;&]{0,120}(?:--git|--source)[= ]\s*http",
        "It installs a package from an address of its own, not from the registry.",
    ),
)
PAYLOADS = (
    rule(
        "decode-to-shell",
        HIDES,
        HIGH,
        "base64 xxd rev tr openssl gunzip zcat uudecode printf \\x base32 gzip",
        rf"(?:\bbase(?:64|32)\s+(?:-\w+\s+)*(?:-d\w*|--decode|-di|-D)\b|\bbase64\s+-\w*d|\bxxd\s+-\w*r|(?:^|\|)\s*rev\b|\btr\s+[\"'][^\n]{{1,80}}|\bopenssl\s+(?:enc|base64)\b|\bgunzip\b|\bgzip\s+-\w*d|\bzcat\b|\buudecode\b|\bprintf\s+[\"'](?:%b[\"']\s+[\"'])?\\+(?:x|[0-7]))[^\n]{{0,300}}?{_TO_SHELL}",
        "It runs what it decodes, so nobody can read what it does.",
    ),
    rule(
        "shell-of-decoded",
        HIDES,
        HIGH,
        "base64 xxd \\x openssl base32 printf rev",
        r"(?:\b(?:eval|source|exec)|(?:ba|z|da|k)?sh(?:\s+-\w+)*|python[\d.]*\s+-c|(?:^|[;&])\s*\.)\s+[\"']?(?:<?<?<\s*[\"']?)?(?:[$<]\(|`)[^\n]{0,1000}?(?:base(?:64|32)\s+(?:-d|--decode|-D|-\w*d)|xxd\s+-\w*r|openssl\s+(?:enc|base64)|printf\s+[\"']\\+(?:x|[0-7])|\|\s*rev\b)",
        "It runs what it decodes, so nobody can read what it does.",
    ),
    rule(
        "exec-of-decoded",
        HIDES,
        HIGH,
        "decode fromhex unhexlify decompress atob fromcharcode bytes( bytearray( chr( from_hex buffer.from marshal unpack( frombase64 [::-1] reverse",
        rf"(?:\b(?:exec|eval|compile|system|popen|execsync|function|iex|invoke-expression|check_output|__import__)\s{{0,3}}\(?|\bsubprocess\.\w+\()\s{{0,3}}[^\n;]{{0,120}}?{_DECODE}|\bmarshal\.loads\(",
        "It runs what it decodes, so nobody can read what it does.",
    ),
    rule(
        "escaped-code",
        HIDES,
        HIGH,
        "\\x \\u00 \\1 \\0",
        r"\b(?:eval|exec|function|system|settimeout)\s*\(\s*[bur]{0,2}[\"'`](?:\\x[0-9a-f]{2}|\\u00[0-9a-f]{2}){4}|\$'(?:[^'\n]{0,8}\\x[0-9a-f]{2}|\\[0-7]{3}){4}|(?:\\x[2-7][0-9a-f]){24}",
        "It spells out code in escapes, so nobody can read what it does.",
        *CODE,
    ),
    rule(
        "powershell-encoded",
        HIDES,
        HIGH,
        "-e",
        r"\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,160}\s-e(?:nc|ncodedcommand|c)?\s+[\"']?[a-z0-9+/=]{16}",
        "It runs an encoded command, so nobody can read what it does.",
    ),
    rule(
        "assembled-text",
        HIDES,
        MEDIUM,
        "chr( fromcharcode charcodeat map(chr",
        r"(?:\bchr\(\s*(?:0x)?[0-9a-f]{2,3}\s*\)\s*[+.]\s*){3}|\.join\(\s*\[?\s*(?:map\(\s*chr|chr\()|string\.fromcharcode\(\s*(?:\.\.\.)?(?:\[|(?:(?:0x)?[0-9a-f]{2,3}\s*,\s*){6})",
        "It assembles a text from character codes.",
        *CODE,
    ),
    rule(
        "hidden-import",
        HIDES,
        MEDIUM,
        "__import__ getattr __builtins__ globals()[ ifs",
        r"\b__import__\(\s*[\"'](?:os|subprocess|socket|pty|ctypes|base64|builtins)[\"']\s*\)|getattr\(\s*(?:__builtins__|__import__|os|builtins|globals\(\))\b|globals\(\)\[|__builtins__\s*\[|[a-z]\$\{?IFS\}?(?:\$\d)?[\w/\"'-]",
        "It hides which function it calls.",
        *CODE,
    ),
    rule(
        "split-word",
        HIDES,
        MEDIUM,
        "'' \"\" \\",
        r"(?:^|[\s;&|(`$])(?:c(?:''|\"\"|\\)u(?:''|\"\"|\\)?rl|cu(?:''|\"\"|\\)rl|w(?:''|\"\"|\\)get|wg(?:''|\"\"|\\)et|ba(?:''|\"\"|\\)sh|b(?:''|\"\"|\\)ash|s(?:''|\"\"|\\)h\b|ev(?:''|\"\"|\\)al)",
        "It breaks up a command's name so that a search misses it.",
        *CODE,
    ),
)
