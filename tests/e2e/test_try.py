import subprocess, json
from test_slash_command import example
from support.room import REPOSITORY
def test_try(claude, room, embedded):
    example(room)
    first = claude.say("/mega-code:skill-enhance commit-message")
    n = len(claude.api.requests)
    allowed = 'Bash("{}/skills/skill-enhance/scripts/{}.sh":*)'
    flags = ["--allowedTools", *(allowed.format(REPOSITORY, name) for name in ("install", "report"))]
    p = subprocess.Popen([claude.binary,"-p","project","--output-format","stream-json","--verbose","--plugin-dir",str(REPOSITORY),"--resume",first.id,*flags],cwd=room.project,env=claude.env,stdin=subprocess.DEVNULL,stdout=subprocess.PIPE,text=True)
    try: out,_ = p.communicate(timeout=15)
    except subprocess.TimeoutExpired: p.kill(); out,_=p.communicate()
    print(out[:3000]); print(len(claude.api.requests)-n)
    for r in claude.api.requests[n:n+3]:
        for m in r["messages"][-4:]: print(json.dumps(m)[:600])
        print('--')
    assert 0
