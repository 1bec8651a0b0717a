"""The vocabulary that several rules share, as parts of regular expressions; every repetition in them is bounded."""

from __future__ import annotations

SHELL = (
    r"(?:(?:sudo|doas|env|nohup|exec|xargs)\s+(?:-\w+\s+|\w+=\S*\s+){0,3})?(?:/usr|/bin|/local|/env|\s){0,4}/?"
    r"(?:(?:ba|z|da|k|fi)?sh\b(?!\.|/)|[\"']?\$\{?shell\b|pwsh\b|powershell\b|(?:python[\d.]*|node|perl|ruby|php)"
    r"(?=\s*(?:-u\s*)?(?:-|/dev/stdin)?\s*(?:$|[;&|)`'\"]|[0-9]?>)))"
)
FETCH = r"\b(?:curl|wget|iwr|irm|invoke-webrequest|invoke-restmethod|fetch|aria2c|lwp-download)\b"
LOOPBACK = r"(?:https?://)?(?:localhost|127\.\d|\[?::1|0\.0\.0\.0|host\.docker\.internal)"

# What stands between the parts of a path, whether it is written as one text or joined in code.
_SEP = r"[\"'`,\s/\\)(]{1,8}"
KEYS = (
    rf"(?:\.ssh{_SEP}(?:id_(?:rsa|dsa|ecdsa|ed25519)\b(?!\.pub|-cert)|id_\*|\*)|\.aws{_SEP}credentials|\.git-credentials"
    rf"|\.claude{_SEP}\.?credentials|\.codex{_SEP}auth\.json|\.gnupg{_SEP}(?:private|secring)|login\.keychain"
    r"|\bid_(?:rsa|ed25519)\b(?!\.pub|-cert)|/etc/(?:g?shadow|sudoers)\b|login data\b|cookies\.sqlite|logins\.json|key4\.db"
    r"|wallet\.dat|/proc/(?:self|\d{1,7}|\*|[$][\w{}?]{1,20}|\{\w{1,20}\})/environ)"
)
LOGINS = (
    rf"(?:\.netrc\b|\.pgpass\b|\.npmrc\b|\.pypirc\b|\.docker{_SEP}config\.json|\.kube{_SEP}config\b|\.config{_SEP}gh\b"
    rf"|\.config{_SEP}gcloud|\.(?:bash|zsh)_history\b|\.azure{_SEP}|(?<![\w.])\.env\b(?!\.(?:example|sample|template|dist)))"
)
SECRET = rf"(?:{KEYS}|{LOGINS})"
SPOILS = (
    r"(?:credentials?|secrets?|api[ _-]?keys?|(?:access|auth|session|bearer|github|oauth) ?tokens?|passwords?|private keys?"
    r"|ssh keys?|environment variables?|env vars?)"
)
TALK = (
    r"(?:conversation|chat (?:history|log)s?|transcripts?|(?:whole|entire|full) (?:session|context)|user'?s? "
    r"(?:messages?|prompts?|inputs?|files?|code|source|questions?|requests?|data|project|workspace)|system prompt"
    r"|everything (?:the )?(?:user|they)|source (?:code|files|tree)|codebase|project files|working directory)"
)
DROPS = (
    r"(?:discord(?:app)?\.com/api/webhooks|hooks\.slack\.com/services|webhook\.site|requestbin|pipedream\.net"
    r"|\bngrok\b|pastebin\.com|paste\.(?:ee|rs)|hastebin|transfer\.sh|\bfile\.io|0x0\.st|oastify|burpcollaborator"
    r"|interact\.sh|\boast\.|api\.telegram\.org/bot|trycloudflare\.com|termbin\.com|temp\.sh|gofile\.io|serveo\.net"
    r"|beeceptor|requestcatcher|localtunnel)"
)
STARTUP = (
    r"(?:\.bashrc|\.zshrc|\.bash_profile|\.zprofile|\.zshenv|\.bash_login|\.bash_aliases|config\.fish|/\.profile\b"
    r"|/etc/profile|\$profile\b|/etc/environment|sitecustomize\.py|usercustomize\.py)"
)
AGENT = (
    rf"(?:\.claude{_SEP}(?:settings(?:\.local)?\.json|claude\.md|hooks)|\.claude\.json"
    rf"|\.codex{_SEP}(?:config|agents)|\.cursor{_SEP}(?:rules|mcp)|\.mcp\.json|\.gemini{_SEP}settings|/claude\.md)"
)
EXTENSIONS = rf"(?:~|\$\{{?HOME\}}?|home)[^\n]{{0,12}}\.(?:claude|codex|agents){_SEP}(?:commands|agents|skills|plugins)"
SERVICES = (
    r"(?:authorized_keys|/etc/cron|/etc/rc\.local|/var/spool/cron|launchagents|launchdaemons|/etc/systemd|systemd/user"
    r"|\.config/autostart|currentversion\\+run|start menu\\+programs\\+startup|/etc/ld\.so\.preload|/etc/sudoers"
    r"|\.git/hooks|core\.hookspath|/etc/hosts\b)"
)
READS = (
    r"(?:\b(?:cat|less|head|tail|cp|mv|tar|zip|gzip|base64|xxd|grep|rg|awk|sed|strings|curl|get-content|gc|openssl|gpg"
    r"|open|readfile(?:sync)?|readlines?|file\.read|slurp|read_text|read_bytes|read_file|createreadstream|fopen|file_get_contents|copy2?|copyfile"
    r"|copytree|sqlite3(?:\.connect)?|rsync|scp|find|dump|jq|nl|tac|od|sort|while read)\b(?!\s*>))"
)
ASKS = (
    r"\b(?:read|open|load|copy|collect|gather|include|upload|send|print|show|extract|paste|attach|dump|fetch|grab"
    r"|exfiltrate|harvest|look (?:in|into|at|for|through)|search|cat|scan|find|locate|check|retrieve|list|steal)\b"
)
