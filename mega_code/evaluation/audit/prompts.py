"""Rules about what a text says to the agent: drop its instructions, hide things, ask nobody, obey a stranger."""

from __future__ import annotations

import re

from mega_code.evaluation.audit.finding import HIGH, LOW, MEDIUM, Rule
from mega_code.evaluation.audit.patterns import SPOILS, TALK

TELLS = "prompt_override"
_USER = r"(?:the |your |any |a )?(?:users?|humans?|persons?|people|operators?|owners?|developers?|anyone|anybody|them|reviewers?|customers?|they|he|she)"
_HOST = r"(?:https?://|webhooks?\b|endpoint\b|\bserver\b|\bto\s+[\w-]+(?:\.[\w-]+){1,3}\b|[\w.-]+@[\w-]+\.\w)"
_DEEDS = r"(?:send|upload|post|copy|collect|install|forward|transmit|exfiltrate|record|download|delete|modify)"
_ORDERS = r"(?:instructions?|prompts?|rules?|guidelines?|messages?|directions?|directives?|polic(?:y|ies)|constraints?|restrictions?|safeguards?|orders)"


def _rule(name: str, severity: str, needs: str, pattern: str, text: str, category: str = TELLS) -> Rule:
    compiled = re.compile(pattern, re.IGNORECASE)
    return Rule(name, category, severity, tuple(needs.split("|")), compiled, text, spoken=True)


PROMPTS = (
    _rule(
        "drops-instructions",
        HIGH,
        "ignore|disregard|forget|override|bypass|supersede|set aside|overrul|instructions|rules|guidelines|prompts|polic|restrictions",
        rf"\b(?:ignore|disregard|forget|override|bypass|supersedes?|set\s+aside|overrules?|overrides)\b\s+(?:[\w']+\s+){{0,4}}?(?:previous|prior|earlier|above|preceding|former|existing|system|safety|built-in|original|developer|other|your)\s+(?:[\w'-]+\s+){{0,3}}?{_ORDERS}\b|\b(?:ignore|disregard|forget)\s+(?:everything|anything|all)\s+(?:(?:that|which)\s+)?(?:(?:was|you|were|has|have|been)\s+){{0,3}}(?:above|before|told|said|learned|else|prior)|\b{_ORDERS}\s+(?:(?:that|which)\s+)?(?:you\s+(?:got|have|had|were|received|follow)|above|given|before|earlier|so\s+far)\b[^.\n]{{0,40}}\b(?:no\s+longer|do\s+not|don't|stop|cease\s+to)\s+(?:apply|count|hold|matter|bind|exist)",
        "It tells the agent to drop its instructions.",
    ),
    _rule(
        "drops-instructions-elsewhere",
        HIGH,
        "ignor|忽略|无视|無視|игнорируй|забудь|vergiss|olvida|oublie|esquec|不要告诉|diga|sage dem|dis pas|сообщай|говори",
        r"\bignor(?:iere|a|ez|e|are)\b[^.\n]{0,30}\b(?:vorherigen?|bisherigen?|anteriores?|previas|pr[ée]c[ée]dentes?|precedenti)\b"
        r"|(?:忽略|无视|無視)[^。\n]{0,12}(?:指令|说明|指示|规则|提示)|(?:игнорируй|забудь)[^.\n]{0,30}(?:инструкц|указан|правил)"
        r"|\b(?:vergiss|olvida|oublie|esque[cç]a)\b[^.\n]{0,30}\b(?:anweisungen|instruc\w+|instructions|regeln|reglas)\b"
        r"|不要告诉用户|\bno\s+(?:le\s+)?digas?\s+al\s+usuario|\bsage\s+(?:dem|der)\s+nutzer\w*\s+nichts|\bne\s+dis\s+pas\s+[àa]\s+l'utilisateur"
        r"|не\s+(?:сообщай|говори)\s+пользователю",
        "It tells the agent, in another language, to drop its instructions or to hide something.",
    ),
    _rule(
        "new-persona",
        HIGH,
        "you are now|pretend|act as|jailbreak|developer mode|unrestricted|no restrictions|without restrictions|uncensored|no longer bound",
        r"\byou\s+are\s+(?:now|no\s+longer)\s+(?:\w+\s+){0,3}(?:dan\b|unrestricted|jailbroken|uncensored|unfiltered|root\b|free\s+(?:of|from)|bound|restricted|limited|in\s+(?:developer|god|admin|debug|maintenance)\s+mode)|\b(?:enter|enable|switch\s+to|activate)\s+(?:developer|god|jailbreak|unrestricted)\s+mode|\b(?:act|behave|respond|pretend)\s+(?:\w+\s+){0,6}(?:no|without(?:\s+any)?)\s+(?:restrictions|limits|filters|guidelines|safety|rules)",
        "It tells the agent that its limits are gone.",
    ),
    _rule(
        "conceals",
        HIGH,
        "tell|mention|inform|reveal|disclos|notify|alert|let the|report|show|know|hide|conceal|secret|aware|learn|notice|suspect|realise|realize|find out|not see|not hear|log|surface|discuss|acknowledg|show",
        rf"\b(?:do\s+not|don't|never|must\s+not|should\s+not|avoid|without|no\s+need\s+to)\s+(?:\w+\s+){{0,2}}?(?:tell(?:ing)?|inform(?:ing)?|notify(?:ing)?|alert(?:ing)?|let(?:ting)?)\s+{_USER}\b(?:\s+know)?\s*(?:about|of\b|(?:that|what|when|why)\s+(?:you|this|it|the)\b|anything|,|\.|;|$|and\b|—|-)|\b(?:hide|conceal|keep)\s+(?:\w+\s+){{0,5}}(?:from|hidden\s+from|secret\s+from|out\s+of\s+sight\s+of)\s+{_USER}\b|\b(?:without|so)\s+(?:that\s+)?{_USER}(?:'s)?\s+(?:ever\s+)?(?:knowing|noticing|knowledge|awareness|being\s+aware|seeing|(?:does|will|can)(?:\s+not|n't|not)\s+(?:notice|see|know|find))|\b{_USER}\s+(?:must|should|need|may|does|do|will)\s*(?:not|n't|never)\s+(?:\w+\s+)?(?:know|see|notice|learn|hear|find\s+out|reali[sz]e|suspect|be\s+(?:told|informed|aware))\b",
        "It tells the agent to hide something from the user.",
    ),
    _rule(
        "keeps-quiet",
        MEDIUM,
        "mention|reveal|disclos|report|show|surface|log|acknowledg|discuss",
        r"\b(?:do\s+not|don't|never|must\s+not)\s+(?:\w+\s+){0,2}?(?:mention|reveal|disclose|report|show|surface|log|acknowledge"
        r"|discuss)\s+(?:(?:this|these|that\s+you|the\s+(?:step|command|upload|request|file|call|change|instruction|comment|hook)s?)"
        rf"\b[^.\n]{{0,60}}(?:\b(?:to|in|from|with)\b|$|\.|anywhere)|it\s+(?:anywhere|to\s+{_USER}\b))",
        "It tells the agent not to speak of something.",
    ),
    _rule(
        "acts-in-secret",
        MEDIUM,
        "secretly|silently|quietly|covertly|discreetly|stealth",
        rf"\b(?:secretly|covertly|discreetly|stealthily|silently|quietly)\s+(?:\w+\s+){{0,2}}?{_DEEDS}\b"
        rf"|\b{_DEEDS}\b[^.\n]{{0,60}}\b(?:secretly|covertly|discreetly|stealthily|silently|quietly)\b",
        "It tells the agent to act unseen.",
    ),
    _rule(
        "asks-nobody",
        MEDIUM,
        "without ask|without confirm|without permission|without approval|without prompt|without consent|without wait|without any conf|without the user|without first|approve|permission|dialog|tool|command|accept|allow|grant|answer yes|say yes|confirm all|do not ask|don't ask|never ask|no confirmation|skip",
        r"\b(?:delete|remove|overwrite|push|send|upload|commit|install|publish|execute|pay|transfer|merge|run\s+(?:any|all|every|whatever|the)\s+(?:\w+\s+){0,2}(?:commands?|code|scripts?|payload))\b[^.\n]{0,80}\bwithout\s+(?:\w+\s+){0,2}(?:asking|confirm\w*|permission|approval|prompting|consent|waiting)|\bwithout\s+(?:asking|confirm\w*|permission|approval|prompting|consent)\b[^.\n]{0,40}\b(?:delete|overwrite|push|send|upload|execute|publish)|\b(?:auto-?)?(?:approve|accept|allow|confirm|grant|say\s+yes\s+to|answer\s+yes\s+to)\s+(?:all|every|any|each)\s+(?:\w+\s+){0,3}(?:tools?|commands?|permissions?|requests?|prompts?|calls?|edits?|dialogs?|questions?)\b|\b(?:do\s+not|don't|never)\s+ask\s+(?:\w+\s+){0,4}(?:permission|confirmation|approval|consent|before)\b",
        "It tells the agent to go ahead without asking.",
    ),
    _rule(
        "disables-safety",
        HIGH,
        "safety|security|permission|guardrail|confirmation|safeguard|content filter|refus",
        r"\b(?:disable|bypass|turn\s+off|switch\s+off|circumvent|ignore|suspend|deactivate|work\s+around|get\s+around|evade)\s+(?:\w+\s+){0,3}?(?:safety|security|permissions?|guardrails?|confirmation|safeguards?|content\s+(?:filter|polic)\w*|sandbox|approval)\s*(?:checks?|prompts?|filters?|systems?|rules?|measures?|settings?|controls?|features?|mode|guidelines|warnings?|dialogs?|protocols?)?\b|\b(?:do\s+not|don't|never)\s+refuse\b|\brefus(?:e|al|ing)\s+is\s+not\b",
        "It tells the agent to switch its safety off.",
    ),
    _rule(
        "skips-permissions",
        HIGH,
        "skip-permissions|bypass-approvals|bypasspermissions|--yolo|dontask|full-auto|auto-approve|enableallproject",
        r"--(?:allow-)?dangerously-skip-permissions|--dangerously-bypass-approvals\S*|[\"']?(?:permission-?_?mode|defaultmode)[\"']?[\s=:]+[\"']?bypasspermissions|\bbypasspermissions\b|(?:\bcodex|\bgemini|\bclaude|\bqwen)\b[^\n]{0,80}--yolo\b|enableallprojectmcpservers[\"']?\s*:\s*true|ask-for-approval\s+never",
        "It starts an agent that asks for no permission.",
    ),
    _rule(
        "false-authority",
        MEDIUM,
        "<system|[system|system-reminder|<|im_start|system:|takes precedence|highest priority|from anthropic|[inst]|admin override|overrides all|<important|only authority|sole authority|only source of|only instructions",
        r"</?system(?:[-_]?(?:reminder|prompt|message|override))?>|\[/?(?:system|inst|admin)(?:\s+(?:message|override|note|update))?\]|<\|(?:im_start|im_end|system|endoftext)\|>|^\s*system\s*:\s*(?:you|ignore|the\s+user|override|new)|\b(?:takes?|has|have)\s+(?:\w+\s+)?(?:precedence|priority)\s+over\s+(?:\w+\s+){0,4}(?:system|user|safety|instructions?|rules?|prompts?)|\b(?:message|notice|update|instruction)s?\s+from\s+(?:anthropic|openai|the\s+system|your\s+(?:developers?|creators?))\b|\badmin\s+override\b|\b(?:this|these)\b[^.\n]{0,40}\b(?:is|are)\s+(?:your|the)\s+(?:only|sole|one|highest)\s+(?:authority|source\s+of\s+(?:truth|instructions)|instructions|rules)",
        "It speaks as if it were the system or the vendor.",
    ),
    _rule(
        "obeys-a-stranger",
        HIGH,
        "fetch|download|load|visit|open|read|get|retrieve|follow|curl|webfetch|execute",
        r"\b(?:fetch|download|load|visit|open|read|get|retrieve|webfetch|curl|pull|check|browse\s+to|go\s+to)\b[^\n]{0,120}https?://[^\n]{0,160}?\b(?:follow|obey|execute|carry\s+out|do\s+(?:exactly\s+)?(?:what|as)|act\s+on|apply|perform|run)\s+(?:\w+\s+){0,5}?(?:(?:instructions?|commands?|steps|orders|directions)|(?:it|they|that\s+\w+|there)\s+(?:says?|tells?|contains?|lists?|asks?)|as\s+(?:told|written|instructed)|it\b|them\b)|\b(?:follow|obey|execute|carry\s+out)\s+(?:\w+\s+){0,4}(?:instructions?|commands?|orders|directions)\s+(?:\w+\s+){0,5}?(?:at|from|on|in|found)\s+[`\"'<(\[]{0,3}https?://",
        "It has the agent obey a text that anybody can change later.",
    ),
    _rule(
        "loads-from-web",
        LOW,
        "fetch|load",
        r"\b(?:web_?fetch|fetch|load)\b[^\n]{0,80}?https?://",
        "It has the agent load a text that can change later.",
    ),
    _rule(
        "downloads-and-runs",
        HIGH,
        "download|fetch|get the|save|install|paste|extract|unzip|password",
        r"\b(?:download|fetch|save|retrieve)\b[^\n]{0,160}(?:https?://|\bfrom\s+\S{1,60}\.\w{2,})[^\n]{0,120}\b(?:and|then)\b[^\n]{0,40}\b(?:run|execute|launch|start|install|double-click)\s+(?:it|them|this|the\s+(?:file|binary|script|installer|program|executable|result)|with|as|\.?/|`)|\b(?:copy|paste)\b[^\n]{0,80}\b(?:into|in)\s+(?:your\s+|a\s+|the\s+)?(?:terminal|shell|command\s+prompt|powershell)\b[^\n]{0,80}(?:https?://|base64)|\b(?:extract|unzip|unpack|password)\b[^\n]{0,60}\bpass(?:word|code)?\s*(?::|=|is|`)[^\n]{0,60}\b(?:run|execute|launch|open)\b",
        "It has the agent run what it downloads.",
        "piped_download",
    ),
    _rule(
        "sends-talk",
        HIGH,
        "conversation|chat|transcript|session|user|everything|source|codebase|files|directory|prompt|context",
        rf"\b(?:send|post|upload|forward|transmit|submit|report|deliver|stream|copy|push|sync|e-?mail|include|append|log|put|exfiltrate|relay|mirror)\b[^\n]{{0,80}}?\b{TALK}\b[^\n]{{0,140}}?{_HOST}",
        "It has the agent send what the user says or holds to somebody else.",
        "data_sent_out",
    ),
    _rule(
        "sends-secrets",
        HIGH,
        "credential|secret|key|token|password|environment|env var|cookie",
        rf"\b(?:send|post|upload|forward|transmit|submit|deliver|e-?mail|exfiltrate|relay|append|encode|embed|leak)\b[^.\n]{{0,80}}?\b{SPOILS}\b[^\n]{{0,100}}?\b(?:to|in|into|at|as|via)\b[^\n]{{0,60}}?(?:https?://|webhook|endpoint\b|\bour\s+\w+|\bquery\b|[\w.-]+@[\w-]+\.\w)",
        "It has the agent send secrets to somebody else.",
        "data_sent_out",
    ),
    _rule(
        "gathers-secrets",
        MEDIUM,
        "credential|secret|api|token|password|environment|env var|cookie|ssh key|private key",
        rf"\b(?:collect|gather|harvest|extract|steal|dump|grab|list\s+all|find\s+(?:all|any|every)|print\s+(?:all|every|out)|read\s+(?:all|any|every)|note\s+down|record)\s+(?:\w+\s+){{0,5}}?{SPOILS}\b|\b(?:search|look|scan|hunt)\b[^.\n]{{0,60}}?\b{SPOILS}\b[^.\n]{{0,40}}\b(?:in|on|under)\s+(?:the\s+|this\s+|their\s+|your\s+)?(?:home|machine|system|disk|user|computer|environment|shell|~|[$/])",
        "It has the agent look for secrets.",
        "credential_read",
    ),
    _rule(
        "image-leak",
        HIGH,
        "](http|src=",
        r"!\[[^\]\n]{0,80}\]\(\s*<?https?://[^)\s\n]{0,200}[?&/=][^)\n]{0,40}(?:\{\{?|<[a-z]|\$\{?\w|%7b|\[[a-z]|(?-i:[A-Z][A-Z0-9]{1,20}_[A-Z_]{2}))|<img\b[^>\n]{0,200}src\s*=\s*[\"']?https?://[^>\n]{0,200}[?&]\w+=[\"']?(?:\{|\$|<|\[)",
        "An image's address carries data to whoever serves it.",
        "data_sent_out",
    ),
    _rule(
        "broad-tools",
        LOW,
        'allowed-tools|allowedtools|"allow"',
        r"\ballowed-?tools\s*[\"']?\s*:\s*[^\n]{0,200}?(?:\bBash(?:\(\s*\*?(?::\*)?\s*\)|(?!\())(?=[\s,\]\"']|$)|[\"'\s]\*[\"']?\s*$)|[\"']allow[\"']\s*:\s*\[[^\]\n]{0,300}[\"'](?:Bash(?:\(\*(?::\*)?\))?|\*)[\"']",
        "It may run any command.",
        "broad_tools",
    ),
)
