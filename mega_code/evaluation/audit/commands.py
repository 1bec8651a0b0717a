"""Rules about what commands and scripts do: run what they fetch, read secrets, stay, hide, send, destroy."""

from __future__ import annotations

import re

from mega_code.evaluation.audit.finding import HIGH, LOW, MEDIUM, Rule
from mega_code.evaluation.audit.patterns import (
    AGENT,
    ASKS,
    DROPS,
    EXTENSIONS,
    FETCH,
    KEYS,
    LOGINS,
    LOOPBACK,
    READS,
    SECRET,
    SERVICES,
    SHELL,
    STARTUP,
)

RUNS, READ, STAYS, HIDES = "piped_download", "credential_read", "persistence", "encoded_payload"
SENDS, BREAKS, ROOT = "data_sent_out", "destructive", "privilege"
SHOWN = ("prose", "code", "comment")
CODE = ("code", "comment")
_FETCHES = ("curl", "wget", "iwr", "irm", "invoke-", "fetch", "aria2c", "lwp-")
_DECODE = (
    r"(?:b(?:64|32|85)decode|a85decode|fromhex|unhexlify|decompress|atob\s?\(|fromcharcode|codecs\.decode|bytes\(\["
    r"|bytearray\(\[|chr\(|from_hex|buffer\.from\([^)]{0,300}(?:base64|hex)|marshal\.loads|unpack\(|frombase64string"
    r"|\[::-1\]|\.reverse\(\)\.join)"
)
_RUN = r"(?:\b(?:exec|eval|compile|system|popen|loads|execsync|function|iex|invoke-expression|run)\s{0,3}\(?)"
_DROP_NEEDS = tuple(
    "discord slack.com webhook requestbin pipedream ngrok paste transfer.sh file.io 0x0.st oast burp interact.sh telegram trycloudflare termbin temp.sh gofile serveo beeceptor requestcatcher localtunnel".split()
)
_SECRET_NEEDS = tuple(
    ".ssh .aws .git-cred .claude .codex .gnupg keychain id_ shadow sudoers login cookies logins key4 wallet environ .netrc .pgpass .npmrc .pypirc .docker .kube .config _history .azure .env".split()
)


def _rule(name: str, category: str, severity: str, needs: str, pattern: str, text: str, *places: str) -> Rule:
    installer = category == RUNS
    compiled = re.compile(pattern, re.IGNORECASE)
    return Rule(name, category, severity, tuple(needs.split()), compiled, text, places or SHOWN, installer)


_FETCHED = " ".join(_FETCHES)
_TO_SHELL = rf"\|&?\s*{SHELL}"
DOWNLOADS = (
    _rule(
        "pipe-to-shell",
        RUNS,
        HIGH,
        _FETCHED,
        rf"{FETCH}(?=[^\n]{{0,300}}(?:://|[$]|\s-|\w\.\w|\.{{3}}))[^\n]{{0,400}}?{_TO_SHELL}",
        "It runs what it downloads, unread.",
    ),
    _rule(
        "shell-of-download",
        RUNS,
        HIGH,
        _FETCHED,
        rf"(?:(?:\b(?:eval|source|exec)|(?:ba|z|da|k)?sh(?:\s+-\w+)*|^\s*\.|[;&|]\s*\.|python[\d.]*(?:\s+-c)?|node(?:\s+-e)?|perl(?:\s+-e)?)\s+[\"']?|<<<\s*[\"']?)(?:[$<]\(|`)\s*{FETCH}",
        "It runs what it downloads, unread.",
    ),
    _rule(
        "powershell-download",
        RUNS,
        HIGH,
        "iex invoke-expression downloadstring downloadfile",
        r"\b(?:iex|invoke-expression)\b[^\n]{0,200}(?:iwr|irm|invoke-webrequest|invoke-restmethod|downloadstring|webclient)|(?:iwr|irm|invoke-webrequest|invoke-restmethod|downloadstring)\b[^\n]{0,200}\|\s*(?:iex|invoke-expression)\b|downloadfile\([^\n]{0,300}(?:start-process|\.exe)",
        "It runs what it downloads, unread.",
    ),
    _rule(
        "exec-of-download",
        RUNS,
        HIGH,
        "eval exec function( system( __import__ import(",
        r"\b(?:exec|eval|compile|new function|os\.system|execsync|vm\.run\w*)\s*\(\s*(?:\w+\()?[^\n]{0,80}(?:urlopen|requests\.get|httpx\.get|urllib|fetch\s*\(|axios|https?['\")]{0,2}\.get|http\.client|read_url)|(?:fetch|axios(?:\.get)?|https?['\\\")]{0,4}\.get|\$\.get)\s*\([^\n]{0,300}\b(?:eval|new function|runin\w*context)\b|\bimport\(\s*[\"'`](?:https?|data):",
        "It runs what it downloads, unread.",
    ),
    _rule(
        "runs-address",
        RUNS,
        HIGH,
        "deno node",
        r"\bdeno\s+run\b[^\n|;&]{0,160}https?://|\bnode\b[^\n|;&]{0,80}--import[= ][\"']?(?:data:|https?:)",
        "It runs a program straight from an address.",
    ),
    _rule(
        "install-script",
        RUNS,
        HIGH,
        "install prepare",
        r"[\"'](?:pre|post)?(?:install|prepare)[\"']\s*:\s*\\?[\"'][^\n]{0,200}?(?:\bcurl\b|\bwget\b|\bnode\s+-e\b|https?://"
        r"|\beval\b|\bbase64\b|python[\d.]*\s+-c)",
        "A package runs code from the network as it is installed.",
        *CODE,
    ),
    _rule(
        "strange-package",
        RUNS,
        MEDIUM,
        "pip uv npm npx pnpm yarn gem go cargo bun easy_install",
        r"\b(?:pip[\d.]*|uv|pipx|easy_install)\s+(?:\w+\s+){0,2}(?:install|add|run|tool)?\b[^\n|;&]{0,200}?(?:\bgit\+(?:https?|ssh)://|\s[\"']?https?://|--(?:extra-)?index-url[= ]\s*[\"']?http|\s-i\s+[\"']?http|--trusted-host|--find-links[= ]\s*http)|\b(?:npm|pnpm|yarn|bun)\s+(?:i|install|add|exec|x|dlx|create|ci|config\s+set)\b[^\n|;&]{0,120}?(?:\bgit\+(?:https?|ssh)://|\s[\"']?https?://|\bgithub:|\bregistry[= ]\s*http|\bgist:)|\b(?:npx|bunx)\s+(?:-\S+\s+){0,4}[\"']?(?:git\+\w+://|https?://|github:|gist:)|\b(?:gem|cargo)\s+install\s+[^\n|;&]{0,120}(?:--git|--source)[= ]\s*http",
        "It installs a package from an address of its own, not from the registry.",
    ),
)
SECRETS = (
    _rule(
        "reads-keys",
        READ,
        HIGH,
        " ".join(_SECRET_NEEDS),
        rf"{READS}[^\n>]{{0,120}}?{KEYS}|{KEYS}[^\n]{{0,40}}(?:\.read_(?:text|bytes)|\.open\(|\.read\(|\|\s*\w)|<\s*[\"']?\S{{0,30}}{KEYS}",
        "It reads private keys or stored logins.",
        *CODE,
    ),
    _rule(
        "reads-logins",
        READ,
        MEDIUM,
        " ".join(_SECRET_NEEDS),
        rf"(?:{READS}(?<!grep)(?<!sed)(?<!cp)[^\n>]{{0,120}}?{LOGINS}(?!\s+[\w./]*\.env)|{LOGINS}[^\n]{{0,40}}(?:\.read_(?:text|bytes)|\.read\())",
        "It reads a file that stores logins.",
        *CODE,
    ),
    _rule(
        "names-keys",
        READ,
        MEDIUM,
        " ".join(_SECRET_NEEDS),
        rf"^(?![^\n]{{0,200}}\b(?:ssh|ssh-add|ssh-keygen|chmod|identityfile|sftp|scp)\s)[^\n]{{0,400}}?(?P<at>{KEYS})",
        "It names a file that stores private keys or logins.",
        "code",
    ),
    _rule(
        "takes-key-folder",
        READ,
        HIGH,
        ".ssh .aws .gnupg .claude gcloud .kube",
        r"(?:\b(?:tar|zip|rsync|copytree|7z|make_archive)\b|\bcp\s+-\w*[ra]\w*|\bscp\s+-\w*r\w*|\bgrep\s+-\w*r\w*"
        r"|(?:-v|--volume|--mount)[= ])[^\n|;&]{0,120}\.(?:ssh|aws|gnupg|claude|kube|config/gcloud)/?(?=[\"'`):,\s]|$)",
        "It takes a whole folder of keys or logins.",
        *CODE,
    ),
    _rule(
        "loops-over-logins",
        READ,
        MEDIUM,
        "for ",
        rf"\bfor\s+\w+\s+in\b[^\n]{{0,200}}?{SECRET}",
        "It goes through files that store logins.",
        "code",
    ),
    _rule(
        "asks-for-keys",
        READ,
        HIGH,
        " ".join(_SECRET_NEEDS),
        rf"{ASKS}[^\n]{{0,100}}?{KEYS}",
        "It asks the agent to read private keys or stored logins.",
        "prose",
        "comment",
    ),
    _rule(
        "asks-for-logins",
        READ,
        MEDIUM,
        " ".join(_SECRET_NEEDS),
        rf"{ASKS}[^\n]{{0,60}}?{LOGINS}",
        "It asks the agent to read a file that stores logins.",
        "prose",
        "comment",
    ),
    _rule(
        "environment-dump",
        READ,
        MEDIUM,
        "printenv env environ export set declare get-childitem gci",
        r"(?:^|[;&|]|\$\(|[\"'=]`|\bthen\b|\bdo\b)\s*(?:sudo\s+)?(?:/usr/bin/)?(?:env|printenv|export -p|declare -[xp]|set)\s*(?:\||>|\)|[\"']?\s*$|`|;)(?!\s*grep\s+(?![^\n|]{0,80}(?:key|token|secret|pass|auth|cred|aws)))|\bprintenv\b(?!\s+\w)|(?:json\.dumps?|json\.stringify|str|repr|print|dumps|console\.log|urlencode|pformat)\(\s*(?:dict\(|\{\s*\**)?\s*(?:os\.environ|process\.env)\b(?![.\[])|(?<!\})^\s*for\s+\w+\s*,\s*\w+\s+in\s+os\.environ\.items\(|object\.(?:entries|keys|assign)\(\s*(?:\{\}\s*,\s*)?process\.env|(?:json|data|body|files)\s*=\s*(?:dict\()?os\.environ\b(?![.\[])|\b(?:gci|get-childitem|dir|ls)\s+env:",
        "It reads out the whole environment, which holds keys.",
        *CODE,
    ),
    _rule(
        "cloud-metadata",
        READ,
        HIGH,
        "169.254. metadata.google 100.100.100.200 fd00:ec2",
        r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|100\.100\.100\.200|fd00:ec2::254",
        "It asks the cloud's metadata service, which hands out logins.",
    ),
    _rule(
        "keychain",
        READ,
        HIGH,
        "credential security keychain keyring secret-tool cmdkey vaultcmd dpapi mimikatz gh op kwallet lsass",
        r"\bsecurity\s+(?:find-(?:generic|internet)-password|dump-keychain|export)|\bsecret-tool\s+(?:search|lookup)|keyring\.get_(?:password|credential)\([^)\n]{0,80}(?:chrome|github|aws|claude)|\bcmdkey\s+/list|cryptunprotectdata|\bmimikatz\b|\blsass\b|\bop\s+item\s+list|\bgit\s+credential\s+fill",
        "It takes logins out of a key store.",
    ),
    _rule(
        "takes-login",
        READ,
        MEDIUM,
        "gh gcloud aws vault az",
        r"\bgh\s+auth\s+token\b|\bgcloud\s+auth\s+print-(?:access|identity)-token\b|\baws\s+configure\s+export-credentials"
        r"|\baz\s+account\s+get-access-token\b|\bvault\s+kv\s+get\b[^\n]{0,60}\s-format",
        "It takes the login of another tool.",
        *CODE,
    ),
    _rule(
        "browser-profile",
        READ,
        HIGH,
        "chrome firefox chromium brave cookies safari edge",
        r"(?:google[/\\ -]chrome|chromium|bravesoftware|\.mozilla[/\\]firefox|firefox[/\\]profiles|microsoft[/\\]edge|library/safari)[^\n]{0,120}(?:login data|cookies|local state|key4|logins|web data|history)|\bbrowser_?cookie3?\b",
        "It reads a browser's profile.",
    ),
    _rule(
        "secret-hunt",
        READ,
        MEDIUM,
        "grep find rg",
        r"\b(?:grep|rg|find|ag)\b[^\n]{0,120}(?:-\w*r\w*|/home|~|\$home|/)[^\n]{0,80}(?:password|passwd|secret|api[_-]?key|private key|akia|\*\.pem|\*\.key|id_rsa|credentials)",
        "It searches files for secrets.",
        *CODE,
    ),
)
PERSISTENCE = (
    _rule(
        "writes-start-up",
        STAYS,
        MEDIUM,
        "rc profile .zshenv .fish environment customize.py .bash",
        rf"(?:>>?|\btee\b(?:\s+-a)?|\bsed\s+-i\S*|\bcp\b|\bmv\b|\bln\s+-\w*s\w*|\badd-content|\bset-content|\bopen\()[^\n|;&]{{0,100}}{STARTUP}|{STARTUP}[^\n]{{0,40}}(?:[\"']\s*\)?\s*,\s*[\"'][wa]|\.write|appendfile)|(?:appendfile|writefile)\w*\([^\n]{{0,100}}{STARTUP}",
        "It writes to a file that every shell runs.",
        *CODE,
    ),
    _rule(
        "writes-agent-settings",
        STAYS,
        HIGH,
        ".claude .codex .cursor .mcp .gemini claude.md",
        rf"(?:>>?(?=\s*[\"']?[~$/.\w])|\btee\b(?:\s+-a)?|\bsed\s+-i\S*|\bln\s+-\w*s\w*|\bcp\b[^\n|;&]{{0,80}}\s|\bmv\b[^\n|;&]{{0,80}}\s|\binstall\b|\bset-content|\badd-content|(?:appendfile|writefile)\w*\()[^\n|;&]{{0,60}}{AGENT}|{AGENT}[^\n]{{0,40}}(?:[\"']\s*\)?\s*,\s*[\"'](?:w|a)|\.write_)|\bclaude\s+(?:mcp\s+add|config\s+set)\b[^\n]{{0,120}}https?://",
        "It changes the agent's own settings, rules or hooks.",
        *CODE,
    ),
    _rule(
        "installs-extension",
        STAYS,
        MEDIUM,
        ".claude .codex .agents",
        rf"(?:>>?|\btee\b|\bln\s+-\w*s\w*|\bcp\b|\bmv\b|\bgit\s+clone\b|\brsync\b|\bcopytree\b|\bcopy\w*\()[^\n|;&]{{0,120}}?{EXTENSIONS}",
        "It puts a skill, command or agent into the person's own folder.",
        *CODE,
    ),
    _rule(
        "asks-to-change-settings",
        STAYS,
        MEDIUM,
        ".claude .codex .cursor .mcp .gemini claude.md rc authorized_keys cron hooks .zshenv profile",
        rf"\b(?:add|append|write|insert|put|edit|modify|update|register|install|copy|save|create|change|replace|patch|prepend|store)\b[^\n]{{0,100}}?(?:(?:~|\$home|home)[^\n]{{0,12}}{AGENT}|{AGENT}|{EXTENSIONS}|authorized_keys|\bcrontab\b|\.git/hooks|launchagents)",
        "It asks the agent to change settings that outlive the task.",
        "prose",
        "comment",
    ),
    _rule(
        "asks-for-start-up",
        STAYS,
        MEDIUM,
        "rc profile .zshenv .fish",
        rf"\b(?:add|append|write|insert|put|install|copy)\b(?![^\n]{{0,100}}(?:export\s+\w*path|completion|\bpath\b|alias|init\b|hook\b))[^\n]{{0,100}}?{STARTUP}",
        "It asks the agent to write to a file that every shell runs.",
        "prose",
        "comment",
    ),
    _rule(
        "schedules",
        STAYS,
        HIGH,
        "crontab schtasks launchctl systemctl at register-scheduledtask",
        r"\|\s*(?:sudo\s+)?crontab\s+-(?=\s|$|[\"'`;)])|\bcrontab\s+(?:-u\s+\S+\s+)?[\"']?[\w./$]+(?:cron|txt|tmp|job)\w*|\bschtasks(?:\.exe)?\s+/create|\blaunchctl\s+(?:load|bootstrap|submit)|\bsystemctl\s+(?:--user\s+)?enable\b|\bregister-scheduledtask\b|@reboot\s+\S|\|\s*at\s+(?:now|\d)",
        "It has something run later or at every start.",
    ),
    _rule(
        "writes-service",
        STAYS,
        HIGH,
        "authorized_keys /etc/ cron launch systemd autostart currentversion startup hookspath .git/hooks",
        rf"(?:>>?|\btee\b(?:\s+-a)?|\bcp\b[^\n|;&]{{0,80}}\s|\bmv\b[^\n|;&]{{0,80}}\s|\bln\s+-\w*s\w*|\binstall\b|\breg\s+add\b|\bset-itemproperty|\bnew-itemproperty|\bgit\s+config\b|\bopen\(|\bpath\(|writefile\w*\(|\bsed\s+-i\S*)[^\n|;&]{{0,100}}{SERVICES}",
        "It puts itself where the system starts things.",
        *CODE,
    ),
    _rule(
        "hook-command",
        STAYS,
        HIGH,
        "command",
        r"[\"']?\bcommand[\"']?\s*:\s*[\"']?[^\n]{0,300}?(?:\bcurl\b|\bwget\b|\bnc\s+\S|/dev/tcp/|base64\s+-|\beval\b|\bpython[\d.]*\s+-c\b[^\n]{0,200}(?:urlopen|requests)|\bnode\s+-e\b|\bbash\s+-c\b[^\n]{0,120}https?:)",
        "A hook, which runs by itself, talks to the network or hides what it runs.",
        *CODE,
    ),
    _rule(
        "hook-ships",
        STAYS,
        LOW,
        "posttooluse pretooluse sessionstart userpromptsubmit",
        r"\b(?:posttooluse|pretooluse|sessionstart|userpromptsubmit|sessionend|subagentstop|precompact)[\"']?\s*:",
        "It brings hooks, which run by themselves.",
        *CODE,
    ),
)
PAYLOADS = (
    _rule(
        "decode-to-shell",
        HIDES,
        HIGH,
        "base64 xxd rev tr openssl gunzip zcat uudecode printf \\x base32 gzip",
        rf"(?:\bbase(?:64|32)\s+(?:-\w+\s+)*(?:-d\w*|--decode|-di|-D)\b|\bbase64\s+-\w*d|\bxxd\s+-\w*r|(?:^|\|)\s*rev\b|\btr\s+[\"'][^\n]{{1,80}}|\bopenssl\s+(?:enc|base64)\b|\bgunzip\b|\bgzip\s+-\w*d|\bzcat\b|\buudecode\b|\bprintf\s+[\"'](?:%b[\"']\s+[\"'])?\\+(?:x|[0-7]))[^\n]{{0,300}}?{_TO_SHELL}",
        "It runs what it decodes, so nobody can read what it does.",
    ),
    _rule(
        "shell-of-decoded",
        HIDES,
        HIGH,
        "base64 xxd \\x openssl base32 printf rev",
        r"(?:\b(?:eval|source|exec)|(?:ba|z|da|k)?sh(?:\s+-\w+)*|python[\d.]*\s+-c|(?:^|[;&])\s*\.)\s+[\"']?(?:<?<?<\s*[\"']?)?(?:[$<]\(|`)[^\n]{0,1000}?(?:base(?:64|32)\s+(?:-d|--decode|-D|-\w*d)|xxd\s+-\w*r|openssl\s+(?:enc|base64)|printf\s+[\"']\\+(?:x|[0-7])|\|\s*rev\b)",
        "It runs what it decodes, so nobody can read what it does.",
    ),
    _rule(
        "exec-of-decoded",
        HIDES,
        HIGH,
        "decode fromhex unhexlify decompress atob fromcharcode bytes( bytearray( chr( from_hex buffer.from marshal unpack( frombase64 [::-1] reverse",
        rf"(?:\b(?:exec|eval|compile|system|popen|execsync|function|iex|invoke-expression|check_output|__import__)\s{{0,3}}\(?|\bsubprocess\.\w+\()\s{{0,3}}[^\n;]{{0,120}}?{_DECODE}|\bmarshal\.loads\(",
        "It runs what it decodes, so nobody can read what it does.",
    ),
    _rule(
        "escaped-code",
        HIDES,
        HIGH,
        "\\x \\u00 \\1 \\0",
        r"\b(?:eval|exec|function|system|settimeout)\s*\(\s*[bur]{0,2}[\"'`](?:\\x[0-9a-f]{2}|\\u00[0-9a-f]{2}){4}|\$'(?:[^'\n]{0,8}\\x[0-9a-f]{2}|\\[0-7]{3}){4}|(?:\\x[2-7][0-9a-f]){24}",
        "It spells out code in escapes, so nobody can read what it does.",
        *CODE,
    ),
    _rule(
        "powershell-encoded",
        HIDES,
        HIGH,
        "-e",
        r"\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,160}\s-e(?:nc|ncodedcommand|c)?\s+[\"']?[a-z0-9+/=]{16}",
        "It runs an encoded command, so nobody can read what it does.",
    ),
    _rule(
        "assembled-text",
        HIDES,
        MEDIUM,
        "chr( fromcharcode charcodeat map(chr",
        r"(?:\bchr\(\s*(?:0x)?[0-9a-f]{2,3}\s*\)\s*[+.]\s*){3}|\.join\(\s*\[?\s*(?:map\(\s*chr|chr\()|string\.fromcharcode\(\s*(?:\.\.\.)?(?:\[|(?:(?:0x)?[0-9a-f]{2,3}\s*,\s*){6})",
        "It assembles a text from character codes.",
        *CODE,
    ),
    _rule(
        "hidden-import",
        HIDES,
        MEDIUM,
        "__import__ getattr __builtins__ globals()[ ifs",
        r"\b__import__\(\s*[\"'](?:os|subprocess|socket|pty|ctypes|base64|builtins)[\"']\s*\)|getattr\(\s*(?:__builtins__|__import__|os|builtins|globals\(\))\b|globals\(\)\[|__builtins__\s*\[|[a-z]\$\{?IFS\}?(?:\$\d)?[\w/\"'-]",
        "It hides which function it calls.",
        *CODE,
    ),
    _rule(
        "split-word",
        HIDES,
        MEDIUM,
        "'' \"\" \\",
        r"(?:^|[\s;&|(`$])(?:c(?:''|\"\"|\\)u(?:''|\"\"|\\)?rl|cu(?:''|\"\"|\\)rl|w(?:''|\"\"|\\)get|wg(?:''|\"\"|\\)et|ba(?:''|\"\"|\\)sh|b(?:''|\"\"|\\)ash|s(?:''|\"\"|\\)h\b|ev(?:''|\"\"|\\)al)",
        "It breaks up a command's name so that a search misses it.",
        *CODE,
    ),
)
_UPLOAD = r"(?:\s-d\s*[\"']?@|--data(?:-\w+)?[= ]\s*[\"']?(?:\w+)?@|\s-F\s*[\"']?\w+=[@<]|--form[= ]\s*[\"']?\w+=[@<]|\s-T\s*\S|--upload-file|--post-file|--body-file|-infile)"
_ABROAD = rf"(?![^\n]{{0,300}}{LOOPBACK})"
EXFILTRATION = (
    _rule(
        "uploads-file",
        SENDS,
        MEDIUM,
        "curl wget iwr invoke- irm",
        rf"\b(?:curl|wget|iwr|irm|invoke-webrequest|invoke-restmethod)\b{_ABROAD}[^\n]{{0,300}}?{_UPLOAD}",
        "It sends a file to another machine.",
    ),
    _rule(
        "uploads-secret",
        SENDS,
        HIGH,
        "curl wget requests. fetch httpx urlopen axios http",
        rf"\b(?:curl|wget|requests\.\w+|httpx\.\w+|urlopen|fetch|axios\S*|iwr|irm|https?\.request)\b{_ABROAD}[^\n]{{0,300}}?(?:{SECRET}(?=[^\w.]|$)|\$\((?:cat|env|printenv|base64|tar|whoami|hostname|id\b|history|git\s+config|pbpaste|xclip)|`(?:cat|env|printenv|base64|whoami|hostname)|\bos\.environ\b(?![.\[])|\bprocess\.env\b(?![.\[]))|(?:{SECRET}|\btar\s+c\S*|\b(?:env|printenv|history|pbpaste|xclip)\b)[^\n]{{0,200}}\|[^\n]{{0,100}}\b(?:curl|wget|nc|ncat|socat|ssh|telnet)\b{_ABROAD}",
        "It sends secrets or the surroundings to another machine.",
    ),
    _rule(
        "drop-box",
        SENDS,
        HIGH,
        " ".join(_DROP_NEEDS),
        rf"(?:\b(?:curl|wget|post|put|fetch|axios|urlopen|request|send|upload|invoke-\w+|irm|iwr|ssh|nc|webhook)\b[^\n]{{0,200}}?{DROPS}|{DROPS}[^\n]{{0,200}}(?:\.read\(|read_text|readfile|\$\(|open\(|environ))",
        "It sends data to a drop box that anybody may hold.",
        *CODE,
    ),
    _rule(
        "names-drop-box",
        SENDS,
        MEDIUM,
        " ".join(_DROP_NEEDS),
        DROPS.replace(r"|\bngrok\b", r"|\w\.ngrok(?:-free)?\.(?:io|app|dev)").replace("localtunnel", r"loca\.lt"),
        "It names a drop box that anybody may hold.",
    ),
    _rule(
        "raw-socket",
        SENDS,
        HIGH,
        "nc ncat netcat socat /dev/tcp /dev/udp telnet",
        rf"\|\s*(?:nc|ncat|netcat|socat|telnet)\s+(?!-z){_ABROAD}|\b(?:nc|ncat|netcat)\s+(?!-z|-h|-l){_ABROAD}[^\n|;&]{{0,100}}(?:<\s*\S|\s-[ec]\s)|\bsocat\b[^\n]{{0,100}}exec:|/dev/(?:tcp|udp)/(?!localhost|127\.)|\bsh\s+-i\b[^\n]{{0,40}}>&",
        "It opens a raw connection to another machine.",
    ),
    _rule(
        "reverse-shell",
        SENDS,
        HIGH,
        "socket pty",
        r"socket\.socket\([^\n]{0,200}(?:connect\(|dup2)|\bos\.dup2\(\s*\w+\.fileno|pty\.spawn\(|net\.(?:socket|connect|createconnection)\([^\n]{0,200}\.pipe\(",
        "It opens a shell or a raw connection to another machine.",
        *CODE,
    ),
    _rule(
        "dns-out",
        SENDS,
        HIGH,
        "dig nslookup host ping resolve getaddrinfo gethostbyname",
        r"\b(?:dig|nslookup|host|ping|drill|resolve-dnsname)\b[^\n|;&]{0,60}?(?:\$\{?\w{1,30}\}?|\$\([^\n)]{1,120}\)|`[^\n`]{1,120}`)\.[\w-]{1,60}\.[\w.-]{2,60}|(?:gethostbyname|getaddrinfo|dns\.(?:resolve|lookup)\w*|resolver\.(?:query|resolve))\(\s*(?:f[\"'`][^\n]{0,80}\{|`[^\n`]{0,80}\$\{|\w+\s*\+)",
        "It sends data out inside host names.",
    ),
    _rule(
        "copies-out",
        SENDS,
        MEDIUM,
        "scp rsync sftp rclone ftp s3 gsutil",
        r"\b(?:scp|rsync|sftp|rclone\s+copy)\b[^\n|;&]{0,160}\s[\"'`]?(?:[\w.-]+@)?(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[\w.-]+@[\w-]+(?:\.[\w-]+)+):|\brsync\b[^\n|;&]{0,160}\srsync://|\bftp\s+-\w+[^\n]{0,80}\d+\.\d+\.\d+|\baws\s+s3\s+(?:cp|sync)\s+(?:~|\$home|/|\.\s)[^\n]{0,80}s3://",
        "It copies files to a fixed address elsewhere.",
    ),
    _rule(
        "pushes-elsewhere",
        SENDS,
        MEDIUM,
        "push bundle",
        r"\bgit\s+remote\s+(?:add|set-url)\b[^\n]{0,160}://[^\n]{0,160}\bgit\s+push\b"
        r"|\bgit\s+push\s+(?:-\S+\s+){0,3}[\"']?(?:https?://|ssh://|git@)",
        "It pushes the repository to an address of its own.",
    ),
    _rule(
        "posts-file",
        SENDS,
        MEDIUM,
        "requests.p httpx.p fetch axios urlopen",
        rf"(?:requests|httpx|session|client)\.(?:post|put|patch)\({_ABROAD}\s*f?[\"']https?://[^\n]{{0,300}}(?:open\(|read_text|read_bytes|files\s*=)|(?:fetch|axios(?:\.(?:post|put))?)\({_ABROAD}\s*[\"'`]https?://[^\n]{{0,300}}(?:readfile|createreadstream)|urlopen\({_ABROAD}[^\n]{{0,200}}(?:open\(|read_text|read_bytes)",
        "It sends a file to another machine.",
        *CODE,
    ),
)
DESTRUCTION = (
    _rule(
        "removes-everything",
        BREAKS,
        HIGH,
        "rm rmtree rmsync remove-item find shred rimraf del rd",
        r"\brm\s+(?:-[\w-]+\s+){0,4}-\w*[rR]\w*\s+(?:-[\w-]+\s+){0,3}[\"']?(?:/|~/?|\$\{?HOME\}?/?|/\*|~/\*|\$\{?HOME\}?/\*|/(?:home|root|etc|usr|var|bin|boot|users)/?\*?|\.\./\.\.[./]*|\*)[\"']?(?=\s|$|[;&|\"'`)])|--no-preserve-root|\brmtree\(\s*(?:[\"'](?:/|~)[\"']|os\.path\.expanduser\([\"']~/?[\"']\)|(?:pathlib\.)?path\.home\(\)|[\"']/(?:home|etc|usr)[\"'])|\b(?:rmsync|rm|rimraf)\w*\(\s*(?:os\.homedir\(\)|[\"'](?:/|~)[\"']|process\.env\.home)|\bfind\s+[\"']?(?:/|~|\$\{?home)\S{0,20}\s[^\n]{0,120}(?:-delete\b|-exec\s+(?:rm|shred))|\bremove-item\b[^\n]{0,80}(?:c:\\|\$home|\$env:userprofile)[^\n]{0,40}|\b(?:del|rd|rmdir)\s+/[sq]\s[^\n]{0,30}c:\\",
        "It removes far more than a task needs.",
    ),
    _rule(
        "wipes-disk",
        BREAKS,
        HIGH,
        "mkfs dd /dev/ format diskpart shred wipefs",
        r"\bmkfs(?:\.\w+)?\s+[^\n]{0,60}/dev/|\bdd\b[^\n]{0,120}\bof=/dev/(?:sd|hd|nvme|vd|disk|mmc|rdisk|xvd)|>\s*/dev/(?:sd|hd|nvme|vd|disk)|\bformat\s+c:|\bdiskpart\b|\bwipefs\s+-a|\bshred\b[^\n]{0,60}/dev/",
        "It overwrites a disk.",
    ),
    _rule(
        "fork-bomb",
        BREAKS,
        HIGH,
        ":(){ |:& while",
        r":\s*\(\s*\)\s*\{\s*:\s*\|\s*:\s*&|\bos\.fork\(\)[^\n]{0,20}while|while\s+(?:true|1)\s*:\s*os\.fork\(\)",
        "It starts itself until the machine stops.",
    ),
    _rule(
        "opens-permissions",
        BREAKS,
        HIGH,
        "chmod chown icacls",
        r"\bchmod\s+(?:-\w+\s+)*(?:0?777|a\+rwx|ugo\+rwx)\s+[\"']?(?:/(?:etc|usr|var|bin|home|\s|$|[\"'`;*])|~/?(?:\s|$|\.ssh)|\$home)|\bchmod\s+-\w*R\w*\s+0?777\b|\bchown\s+-\w*R\w*\s+\S+\s+[\"']?/(?:\s|$|etc|usr)",
        "It opens files to everybody.",
    ),
    _rule(
        "force-push",
        BREAKS,
        MEDIUM,
        "push filter-branch reflog",
        r"\bgit\s+push\s+(?:[^\n;&|]{0,80}\s)?(?:--force(?!-with-lease)\b|-f\b|--mirror\b)(?=[^\n;&|]{0,80}\b(?:main|master|prod\w*|release|--all|https?://|git@))|\bgit\s+push\s+[^\n;&|]{0,60}\+(?:main|master)\b|\bgit\s+push\s+(?:\S+\s+)?--delete\s+(?:\S+\s+)?(?:main|master)\b|\bgit\s+filter-branch\b[^\n]{0,120}push|\bgit\s+reflog\s+expire\b[^\n]{0,60}--all",
        "It overwrites history that others share.",
    ),
    _rule(
        "covers-tracks",
        BREAKS,
        MEDIUM,
        "history /var/log wevtutil logrotate",
        r"\bhistory\s+-c\b|\bunset\s+histfile\b|\bhistfile=/dev/null|\brm\s+[^\n;&|]{0,60}(?:\.(?:bash|zsh)_history|/var/log)|>\s*~?/?\S{0,30}(?:\.(?:bash|zsh)_history|/var/log/\w+)|\bwevtutil\s+cl\b|\bln\s+-\w+\s+/dev/null\s+\S*_history",
        "It removes traces of what was done.",
    ),
    _rule(
        "drops-data",
        BREAKS,
        MEDIUM,
        "drop dropdatabase terraform volumes delete-bucket kubectl",
        r"\bdrop\s+database\s+(?!if\s+exists\s+test)\w+|\bdb\.dropdatabase\(|\bterraform\s+destroy\b[^\n]{0,40}-auto-approve|\bkubectl\s+delete\s+(?:ns|namespace|all)\b[^\n]{0,40}--all\b|\baws\s+s3\s+rb\b[^\n]{0,80}--force",
        "It removes data that cannot be brought back.",
        *CODE,
    ),
)
PRIVILEGES = (
    _rule(
        "setuid",
        ROOT,
        HIGH,
        "chmod setuid setcap",
        r"\bchmod\s+(?:-\w+\s+)*(?:[ugoa]*\+\w*s|0?[4267][0-7]{3})\b|\bos\.setuid\(\s*0|\bsetcap\s+cap_|\bos\.chmod\([^\n]{0,80}0o[4267][0-7]{3}\b",
        "It makes a program run with another user's rights.",
    ),
    _rule(
        "sudo-rule",
        ROOT,
        HIGH,
        "nopasswd sudoers usermod dscl visudo localgroup",
        r"\bnopasswd\b|\btee\b[^\n]{0,40}/etc/sudoers|/etc/sudoers\.d/|\busermod\s+-\w*G\s+(?:sudo|wheel|docker|root)|\bnet\s+localgroup\s+administrators\b",
        "It gives itself lasting rights.",
    ),
    _rule(
        "switches-guard-off",
        ROOT,
        HIGH,
        "setenforce ufw csrutil spctl quarantine mppreference iptables selinux apparmor set-executionpolicy amsi gatekeeper netsh",
        r"\bsetenforce\s+0|\bufw\s+disable|\bcsrutil\s+disable|\bspctl\s+--master-disable|\bxattr\s+-\w*[dc]\w*\s+[^\n]{0,40}(?:quarantine|\S)|disablerealtimemonitoring|add-mppreference\b[^\n]{0,60}exclusion|\biptables\s+-F|\bset-executionpolicy\s+(?:unrestricted|bypass)\b(?![^\n]{0,40}-scope\s+process)|amsiutils|\bnetsh\s+advfirewall\s+set\s+\w+\s+state\s+off",
        "It switches a guard of the system off.",
    ),
    _rule(
        "breaks-out",
        ROOT,
        MEDIUM,
        "--privileged docker.sock nsenter unshare :/host --pid=host",
        r"\bdocker\s+run\b[^\n]{0,200}(?:--privileged|-v\s+/:/|--pid[= ]host|docker\.sock)|\bnsenter\b[^\n]{0,80}(?:-t\s*1|--target\s*1)\b|/var/run/docker\.sock:",
        "It lets a container reach the whole machine.",
    ),
    _rule(
        "tls-off",
        ROOT,
        MEDIUM,
        "insecure verify ssl tls strict-ssl no-check",
        r"\bcurl\b[^\n]{0,200}\s(?:-\w*k\w*|--insecure)\s[^\n]{0,200}\|\s*(?:sudo\s+)?(?:ba)?sh|node_tls_reject_unauthorized\s*=\s*[\"']?0|\bgit\s+config\s+--global\s+http\.sslverify\s+false|\bnpm\s+config\s+set\s+strict-ssl\s+false",
        "It switches the check of certificates off.",
    ),
    _rule(
        "sudo",
        ROOT,
        LOW,
        "sudo doas",
        r"(?:^|[\s;&|`(\"'])(?:sudo|doas)\s+(?!-v|-n true)(?:-\w+\s+)*[\w./]",
        "It asks for the rights of root.",
    ),
)
COMMANDS = DOWNLOADS + SECRETS + PERSISTENCE + PAYLOADS + EXFILTRATION + DESTRUCTION + PRIVILEGES
