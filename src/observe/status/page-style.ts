/** Colours have a contrast of at least 4.5 to 1 in both schemes. */
export const PAGE_STYLE = `:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#1b1f24;--soft:#4d5763;--line:#d5dae0;--blue:#0b5cad;--orange:#a84300;--red:#b3261e;--green:#1a6b35}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2126;--text:#e8ebee;--soft:#a9b3be;--line:#3a424b;--blue:#7db7f5;--orange:#f5a968;--red:#ff9a92;--green:#7fd69a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.45 system-ui,sans-serif}
header,main,footer{max-width:72rem;margin:0 auto;padding:0 1rem}
main:focus{outline:none}
h1{font-size:1.4rem;margin:1rem 0 .2rem}
h2{font-size:1.1rem;margin:1.6rem 0 .5rem}
h3{font-size:1rem;margin:0 0 .5rem}
a{color:var(--blue)}
:focus-visible{outline:3px solid var(--blue);outline-offset:2px}
.skip{position:absolute;left:-999rem}
.skip:focus{left:.5rem;top:.5rem;background:var(--card);padding:.4rem .8rem}
#live{margin:0;color:var(--soft)}
#live.lost{color:var(--red);font-weight:600}
.facts{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;margin:.6rem 0}
.facts div{min-width:0}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;overflow-wrap:anywhere}
.cards{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
.card,figure,.scroll{background:var(--card);border:1px solid var(--line);border-radius:.5rem}
.card{padding:.8rem 1rem}
.card dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0}
.card dt{font-size:.95rem}
.good{color:var(--green)}
.warn{color:var(--orange);font-weight:600}
.bad{color:var(--red);font-weight:600}
.charts{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
figure{margin:0;padding:.8rem 1rem}
figcaption{font-weight:600}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font-size:12px}
.grid{stroke:var(--line);stroke-width:1}
.a,.b{fill:none;stroke-width:2}
.a{stroke:var(--blue)}
.b{stroke:var(--orange);stroke-dasharray:5 3}
.legend{margin:.3rem 0 0;font-size:.85rem;color:var(--soft)}
.legend .ka{color:var(--blue)}
.legend .kb{color:var(--orange)}
.scroll{overflow-x:auto;max-height:34rem;overflow-y:auto}
table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .7rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child{overflow-wrap:anywhere;min-width:7rem}
thead th{position:sticky;top:0;background:var(--card);font-size:.85rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th button{all:unset;cursor:pointer;font-weight:600;text-decoration:underline dotted}
th button:focus-visible{outline:3px solid var(--blue);outline-offset:2px}
th[aria-sort=descending] button::after{content:" \\2193"}
th[aria-sort=ascending] button::after{content:" \\2191"}
.help{color:var(--soft);font-size:.85rem}
.errors{padding:0;margin:0;list-style:none}
.errors li{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--red);border-radius:.3rem;padding:.5rem .8rem;margin:0 0 .5rem;overflow-wrap:anywhere}
.errors .meta{color:var(--soft);font-size:.85rem}
.errors p{margin:.2rem 0 0}
footer{padding-bottom:2rem}
@media(max-width:30rem){body{font-size:15px}header,main,footer{padding:0 .6rem}th,td{padding:.3rem .25rem;font-size:.9rem}td:first-child{min-width:0}.card dl{grid-template-columns:1fr}.card dd{margin-bottom:.3rem}}
`;
