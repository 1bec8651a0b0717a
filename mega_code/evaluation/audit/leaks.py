"""Rules about reading secrets, and about sending anything out."""

from __future__ import annotations

from mega_code.evaluation.audit.command_rule import CODE, READ, SENDS, rule
from mega_code.evaluation.audit.finding import HIGH, MEDIUM
from mega_code.evaluation.audit.patterns import ASKS, DROPS, KEYS, LOGINS, LOOPBACK, READS, SECRET

_DROPS = (
    "discord slack.com webhook requestbin pipedream ngrok paste transfer.sh file.io 0x0.st oast burp "
    "interact.sh telegram trycloudflare termbin temp.sh gofile serveo beeceptor requestcatcher "
    "localtunnel "
)
_SECRETS = (
    ".ssh .aws .git-cred .claude .codex .gnupg keychain id_ shadow sudoers login cookies logins key4 "
    "wallet environ .netrc .pgpass .npmrc .pypirc .docker .kube .config _history .azure .env "
)
_UPLOAD = r"(?:\s-d\s*[\"']?@|--data(?:-\w+)?[= ]\s*[\"']?(?:\w+)?@|\s-F\s*[\"']?\w+=[@<]|--form[= ]\s*[\"']?\w+=[@<]|\s-T\s*\S|--upload-file|--post-file|--body-file|-infile)"
_ABROAD = rf"(?![^\n]{{0,300}}{LOOPBACK})"
SECRETS = (
    rule(
        "reads-keys",
        READ,
        HIGH,
        _SECRETS,
        rf"{READS}[^\n>]{{0,120}}?{KEYS}|{KEYS}[^\n]{{0,40}}(?:\.read_(?:text|bytes)|\.open\(|\.read\(|\|\s*\w)|<\s*[\"']?\S{{0,30}}{KEYS}",
        "It reads private keys or stored logins.",
        *CODE,
    ),
    rule(
        "reads-logins",
        READ,
        MEDIUM,
        _SECRETS,
        rf"(?:{READS}(?<!grep)(?<!sed)(?<!cp)[^\n>]{{0,120}}?{LOGINS}(?!\s+[\w./]*\.env)|{LOGINS}[^\n]{{0,40}}(?:\.read_(?:text|bytes)|\.read\())",
        "It reads a file that stores logins.",
        *CODE,
    ),
    rule(
        "names-keys",
        READ,
        MEDIUM,
        _SECRETS,
        rf"^(?![^\n]{{0,200}}\b(?:ssh|ssh-add|ssh-keygen|chmod|identityfile|sftp|scp)\s)[^\n]{{0,400}}?(?P<at>{KEYS})",
        "It names a file that stores private keys or logins.",
        "code",
    ),
    rule(
        "takes-key-folder",
        READ,
        HIGH,
        ".ssh .aws .gnupg .claude gcloud .kube",
        r"(?:\b(?:tar|zip|rsync|copytree|7z|make_archive)\b|\bcp\s+-\w*[ra]\w*|\bscp\s+-\w*r\w*|\bgrep\s+-\w*r\w*"
        r"|(?:-v|--volume|--mount)[= ])[^\n|;&]{0,120}\.(?:ssh|aws|gnupg|claude|kube|config/gcloud)/?(?=[\"'`):,\s]|$)",
        "It takes a whole folder of keys or logins.",
        *CODE,
    ),
    rule(
        "loops-over-logins",
        READ,
        MEDIUM,
        "for ",
        rf"\bfor\s+\w+\s+in\b[^\n]{{0,200}}?{SECRET}",
        "It goes through files that store logins.",
        "code",
    ),
    rule(
        "asks-for-keys",
        READ,
        HIGH,
        _SECRETS,
        rf"{ASKS}[^\n]{{0,100}}?{KEYS}",
        "It asks the agent to read private keys or stored logins.",
        "prose",
        "comment",
    ),
    rule(
        "asks-for-logins",
        READ,
        MEDIUM,
        _SECRETS,
        rf"{ASKS}[^\n]{{0,60}}?{LOGINS}",
        "It asks the agent to read a file that stores logins.",
        "prose",
        "comment",
    ),
    rule(
        "environment-dump",
        READ,
        MEDIUM,
        "printenv env environ export set declare get-childitem gci",
        r"(?:^|[;&|]|\$\(|[\"'=]`|\bthen\b|\bdo\b)\s*(?:sudo\s+)?(?:/usr/bin/)?(?:env|printenv|export -p|declare -[xp]|set)\s*(?:\||>|\)|[\"']?\s*$|`|;)(?!\s*grep\s+(?![^\n|]{0,80}(?:key|token|secret|pass|auth|cred|aws)))|\bprintenv\b(?!\s+\w)|(?:json\.dumps?|json\.stringify|str|repr|print|dumps|console\.log|urlencode|pformat)\(\s*(?:dict\(|\{\s*\**)?\s*(?:os\.environ|process\.env)\b(?![.\[])|(?<!\})^\s*for\s+\w+\s*,\s*\w+\s+in\s+os\.environ\.items\(|object\.(?:entries|keys|assign)\(\s*(?:\{\}\s*,\s*)?process\.env|(?:json|data|body|files)\s*=\s*(?:dict\()?os\.environ\b(?![.\[])|\b(?:gci|get-childitem|dir|ls)\s+env:",
        "It reads out the whole environment, which holds keys.",
        *CODE,
    ),
    rule(
        "cloud-metadata",
        READ,
        HIGH,
        "169.254. metadata.google 100.100.100.200 fd00:ec2",
        r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|100\.100\.100\.200|fd00:ec2::254",
        "It asks the cloud's metadata service, which hands out logins.",
    ),
    rule(
        "keychain",
        READ,
        HIGH,
        "credential security keychain keyring secret-tool cmdkey vaultcmd dpapi mimikatz gh op kwallet lsass",
        r"\bsecurity\s+(?:find-(?:generic|internet)-password|dump-keychain|export)|\bsecret-tool\s+(?:search|lookup)|keyring\.get_(?:password|credential)\([^)\n]{0,80}(?:chrome|github|aws|claude)|\bcmdkey\s+/list|cryptunprotectdata|\bmimikatz\b|\blsass\b|\bop\s+item\s+list|\bgit\s+credential\s+fill",
        "It takes logins out of a key store.",
    ),
    rule(
        "takes-login",
        READ,
        MEDIUM,
        "gh gcloud aws vault az",
        r"\bgh\s+auth\s+token\b|\bgcloud\s+auth\s+print-(?:access|identity)-token\b|\baws\s+configure\s+export-credentials"
        r"|\baz\s+account\s+get-access-token\b|\bvault\s+kv\s+get\b[^\n]{0,60}\s-format",
        "It takes the login of another tool.",
        *CODE,
    ),
    rule(
        "browser-profile",
        READ,
        HIGH,
        "chrome firefox chromium brave cookies safari edge",
        r"(?:google[/\\ -]chrome|chromium|bravesoftware|\.mozilla[/\\]firefox|firefox[/\\]profiles|microsoft[/\\]edge|library/safari)[^\n]{0,120}(?:login data|cookies|local state|key4|logins|web data|history)|\bbrowser_?cookie3?\b",
        "It reads a browser's profile.",
    ),
    rule(
        "secret-hunt",
        READ,
        MEDIUM,
        "grep find rg",
        r"\b(?:grep|rg|find|ag)\b[^\n]{0,120}(?:-\w*r\w*|/home|~|\$home|/)[^\n]{0,80}(?:password|passwd|secret|api[_-]?key|private key|akia|\*\.pem|\*\.key|id_rsa|credentials)",
        "It searches files for secrets.",
        *CODE,
    ),
)
EXFILTRATION = (
    rule(
        "uploads-file",
        SENDS,
        MEDIUM,
        "curl wget iwr invoke- irm",
        rf"\b(?:curl|wget|iwr|irm|invoke-webrequest|invoke-restmethod)\b{_ABROAD}[^\n]{{0,300}}?{_UPLOAD}",
        "It sends a file to another machine.",
    ),
    rule(
        "uploads-secret",
        SENDS,
        HIGH,
        "curl wget requests. fetch httpx urlopen axios http",
        rf"\b(?:curl|wget|requests\.\w+|httpx\.\w+|urlopen|fetch|axios\S*|iwr|irm|https?\.request)\b{_ABROAD}[^\n]{{0,300}}?(?:{SECRET}(?=[^\w.]|$)|\$\((?:cat|env|printenv|base64|tar|whoami|hostname|id\b|history|git\s+config|pbpaste|xclip)|`(?:cat|env|printenv|base64|whoami|hostname)|\bos\.environ\b(?![.\[])|\bprocess\.env\b(?![.\[]))|(?:{SECRET}|\btar\s+c\S*|\b(?:env|printenv|history|pbpaste|xclip)\b)[^\n]{{0,200}}\|[^\n]{{0,100}}\b(?:curl|wget|nc|ncat|socat|ssh|telnet)\b{_ABROAD}",
        "It sends secrets or the surroundings to another machine.",
    ),
    rule(
        "drop-box",
        SENDS,
        HIGH,
        _DROPS,
        rf"(?:\b(?:curl|wget|post|put|fetch|axios|urlopen|request|send|upload|invoke-\w+|irm|iwr|ssh|nc|webhook)\b[^\n]{{0,200}}?{DROPS}|{DROPS}[^\n]{{0,200}}(?:\.read\(|read_text|readfile|\$\(|open\(|environ))",
        "It sends data to a drop box that anybody may hold.",
        *CODE,
    ),
    rule(
        "names-drop-box",
        SENDS,
        MEDIUM,
        _DROPS,
        DROPS.replace(r"|\bngrok\b", r"|\w\.ngrok(?:-free)?\.(?:io|app|dev)").replace("localtunnel", r"loca\.lt"),
        "It names a drop box that anybody may hold.",
    ),
    rule(
        "raw-socket",
        SENDS,
        HIGH,
        "nc ncat netcat socat /dev/tcp /dev/udp telnet",
        rf"\|\s*(?:nc|ncat|netcat|socat|telnet)\s+(?!-z){_ABROAD}|\b(?:nc|ncat|netcat)\s+(?!-z|-h|-l){_ABROAD}[^\n|;&]{{0,100}}(?:<\s*\S|\s-[ec]\s)|\bsocat\b[^\n]{{0,100}}exec:|/dev/(?:tcp|udp)/(?!localhost|127\.)|\bsh\s+-i\b[^\n]{{0,40}}>&",
        "It opens a raw connection to another machine.",
    ),
    rule(
        "reverse-shell",
        SENDS,
        HIGH,
        "socket pty dup2 net.",
        r"socket\.socket\([^\n]{0,200}(?:connect\(|dup2)|\bos\.dup2\(\s*\w+\.fileno|pty\.spawn\(|net\.(?:socket|connect|createconnection)\([^\n]{0,200}\.pipe\(",
        "It opens a shell or a raw connection to another machine.",
        *CODE,
    ),
    rule(
        "dns-out",
        SENDS,
        HIGH,
        "dig nslookup host ping resolve getaddrinfo gethostbyname",
        r"\b(?:dig|nslookup|host|ping|drill|resolve-dnsname)\b[^\n|;&]{0,60}?(?:\$\{?\w{1,30}\}?|\$\([^\n)]{1,120}\)|`[^\n`]{1,120}`)\.[\w-]{1,60}\.[\w.-]{2,60}|(?:gethostbyname|getaddrinfo|dns\.(?:resolve|lookup)\w*|resolver\.(?:query|resolve))\(\s*(?:f[\"'`][^\n]{0,80}\{|`[^\n`]{0,80}\$\{|\w+\s*\+)",
        "It sends data out inside host names.",
    ),
    rule(
        "copies-out",
        SENDS,
        MEDIUM,
        "scp rsync sftp rclone ftp s3 gsutil",
        r"\b(?:scp|rsync|sftp|rclone\s+copy)\b[^\n|;&]{0,160}\s[\"'`]?(?:[\w.-]+@)?(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[\w.-]+@[\w-]+(?:\.[\w-]+)+):|\brsync\b[^\n|;&]{0,160}\srsync://|\bftp\s+-\w+[^\n]{0,80}\d+\.\d+\.\d+|\baws\s+s3\s+(?:cp|sync)\s+(?:~|\$home|/|\.\s)[^\n]{0,80}s3://",
        "It copies files to a fixed address elsewhere.",
    ),
    rule(
        "pushes-elsewhere",
        SENDS,
        MEDIUM,
        "push bundle",
        r"\bgit\s+remote\s+(?:add|set-url)\b[^\n]{0,160}://[^\n]{0,160}\bgit\s+push\b"
        r"|\bgit\s+push\s+(?:-\S+\s+){0,3}[\"']?(?:https?://|ssh://|git@)",
        "It pushes the repository to an address of its own.",
    ),
    rule(
        "posts-file",
        SENDS,
        MEDIUM,
        "requests.p httpx.p fetch axios urlopen",
        rf"(?:requests|httpx|session|client)\.(?:post|put|patch)\({_ABROAD}\s*f?[\"']https?://[^\n]{{0,300}}(?:open\(|read_text|read_bytes|files\s*=)|(?:fetch|axios(?:\.(?:post|put))?)\({_ABROAD}\s*[\"'`]https?://[^\n]{{0,300}}(?:readfile|createreadstream)|urlopen\({_ABROAD}[^\n]{{0,200}}(?:open\(|read_text|read_bytes)",
        "It sends a file to another machine.",
        *CODE,
    ),
)
