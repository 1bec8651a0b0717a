"""The look of a page: light and dark, on paper, and from 320 pixels up."""

CSS = """
:root{color-scheme:light dark;--ground:#fdfdfc;--card:#fff;--ink:#1d2126;--soft:#5b636d;--line:#e2e4e7;--grid:#eceef0;
--code:#f5f6f7;--baseline:#868e98;--original:#2f6db5;--candidate:#0f7f63;--good:#0c6b53;--good-ground:#e6f4ef;
--bad:#a8322a;--bad-ground:#fbecea;--even:#5a4a12;--even-ground:#f8f2dd;--added:#e3f4ea;--removed:#fbe7e5}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1b1f23;--ink:#e6e8ea;--soft:#a0a8b1;--line:#30363c;
--grid:#272c31;--code:#101315;--baseline:#8d96a0;--original:#6aa5e8;--candidate:#3fbd99;--good:#6ad3b1;
--good-ground:#12312a;--bad:#f29489;--bad-ground:#3a1d1a;--even:#e2cd84;--even-ground:#332c14;--added:#12332a;
--removed:#40211e}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:68rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1,h2,h3{line-height:1.25;font-weight:650;text-wrap:balance}
h1{font-size:2rem;margin:.1rem 0 .75rem;letter-spacing:-.015em}
h2{font-size:1.25rem;margin:3rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.75rem 0 .5rem}
p{margin:.4rem 0 .8rem;max-width:46rem}
p,dd,li{white-space:pre-line}
.over{color:var(--soft);margin:0;font-size:.875rem}
.soft,figcaption,caption,small{color:var(--soft);font-size:.875rem}
.lead{font-size:1.0625rem}
.tag{display:inline-block;padding:.05rem .55rem;border-radius:1rem;border:1px solid currentColor;font-size:.8125rem;
line-height:1.5;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.even{color:var(--even)}.quiet{color:var(--soft)}
.status{display:inline-block;padding:.4rem .85rem;border-radius:.4rem;font-weight:600;border-left:.25rem solid}
.status.good{background:var(--good-ground)}.status.bad{background:var(--bad-ground)}
.status.even{background:var(--even-ground)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.25rem;margin:1rem 0;font-size:.9375rem}
.facts dt{color:var(--soft)}.facts dd{margin:0;min-width:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(21rem,100%),1fr));gap:1rem;margin:1rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:1rem 1.15rem}
.card h3{margin:0 0 .6rem}.big{font-size:2rem;font-weight:650;line-height:1.1;letter-spacing:-.02em;display:block;color:var(--ink)}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin:0 0 .6rem}.pair p{margin:0;line-height:1.35;color:var(--soft)}
.card>p:last-child{margin-bottom:0}
figure{margin:1.25rem 0 1.5rem}
figcaption{margin-bottom:.35rem}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
caption{text-align:left;padding-bottom:.35rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600}thead th{color:var(--soft);font-size:.8125rem;font-weight:500;vertical-align:bottom}
.n{text-align:right;padding-left:.75rem}.n:last-child{padding-right:0}
.wide{overflow-x:auto}.wide th,.wide td{overflow-wrap:break-word}
.wide:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--original);outline-offset:2px}
.chart{list-style:none;margin:0;padding:0;font-size:.9375rem}
.chart li{display:grid;grid-template-columns:8rem minmax(0,1fr) 12rem;gap:0 1.25rem;align-items:center;padding:.15rem 0;
white-space:normal}
.chart .value{text-align:right}.chart small{display:block;line-height:1.35}.chart svg{grid-column:2}
svg{display:block;overflow:visible}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
.grid{stroke:var(--line)}.heavy{stroke:var(--soft)}
.ci{stroke-width:4;stroke-opacity:.4}.cap{stroke-width:1.5}
line.baseline{stroke:var(--baseline)}line.original{stroke:var(--original)}line.candidate{stroke:var(--candidate)}
.dot{stroke:var(--ground);stroke-width:1.5}
circle.baseline,rect.baseline{fill:var(--baseline)}circle.original,rect.original{fill:var(--original)}
circle.candidate,rect.candidate{fill:var(--candidate)}.track{fill:var(--grid)}
.other{fill:var(--soft);stroke:var(--soft)}
.edge{stroke:var(--soft);stroke-width:1.5}.edge.dropped{stroke-dasharray:3 3;stroke-opacity:.7}
.edge.chosen,.edge.path{stroke:var(--candidate);stroke-width:2.5}
.node{fill:var(--soft);stroke:var(--soft);stroke-width:2}.node.dropped{fill:var(--ground)}
.node.chosen{fill:var(--candidate);stroke:var(--candidate)}.ring{fill:none;stroke:var(--candidate);stroke-width:1.5}
.cases{table-layout:fixed}.cases thead th:first-child{width:31%}.cases .half th{padding-top:1.5rem;color:var(--ink);font-size:.9375rem;border-bottom-width:2px}
.cases .top>*{border-bottom:0;padding-bottom:0}.cases .more td{padding-top:.1rem}
details{margin:.25rem 0}
summary{cursor:pointer;color:var(--soft);font-size:.875rem;padding:.15rem 0}
.said{display:inline-block;max-width:min(46rem,62%);overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
vertical-align:bottom}
summary:hover{color:var(--ink)}
details[open]>summary{margin-bottom:.4rem}
.verdicts{font-size:.875rem;min-width:34rem}
.verdicts td,.verdicts th{padding:.3rem .75rem .3rem 0}.verdicts .how{min-width:8.5rem}
.verdicts tbody th{font-weight:500;width:26%}
.verdicts .evidence{width:44%;overflow-wrap:anywhere}
pre,.quote{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--code);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .85rem;margin:.4rem 0;
overflow:auto;max-height:34rem;white-space:pre-wrap;tab-size:4}
.quote{white-space:pre-wrap}
.diff{padding:.5rem 0}.diff span{display:block;padding:0 .85rem;min-height:1.5em}
.diff .add{background:var(--added)}.diff .del{background:var(--removed)}.diff .at{color:var(--soft)}
.cut,.none{color:var(--soft);font-style:italic}
.tree,.tree ol{list-style:none;margin:0;padding:0}.tree ol{margin-left:.55rem;padding-left:1.1rem;
border-left:1px solid var(--line)}
.tree li{padding:.3rem 0}.tree .head{display:flex;flex-wrap:wrap;gap:.15rem .7rem;align-items:baseline}
.tree p{margin:.1rem 0;font-size:.875rem}.findings{padding:0;list-style:none}
.findings li{padding:.6rem 0;border-bottom:1px solid var(--line)}.findings p{margin:.15rem 0}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line)}
@media (max-width:34rem){main{padding:1.5rem .9rem 3rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.25rem}
.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.5rem}.big{font-size:1.65rem}
th,td{padding-right:.5rem}.chart li{grid-template-columns:minmax(0,1fr) auto;padding:.3rem 0}
.chart svg{grid-column:1/-1;grid-row:2}.cases thead th:first-child{width:28%}
.tree ol{margin-left:.3rem;padding-left:.6rem}}
@media print{:root{color-scheme:light}body{font-size:10.5pt;background:#fff}main{max-width:none;padding:0}
pre{max-height:none}.wide{overflow:visible}.card,tr,figure,li .head{break-inside:avoid}h2,h3{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
