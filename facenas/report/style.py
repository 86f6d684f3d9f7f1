"""The style of the report page: calm, one accent, green and red for verdicts only, light and dark, from 320 px up."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --text: #1d2125; --muted: #646b73; --rule: #e3e4e1; --track: #eeefec;
  --accent: #2f5fb8; --good: #1b7a48; --bad: #bd352b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --card: #1d2024; --text: #e6e8ea; --muted: #9aa2ab; --rule: #31363c; --track: #2a2e33;
    --accent: #86aef5; --good: #56c288; --bad: #f08379;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
header, main, footer { max-width: 1060px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 36px; }
h1 { font-size: 30px; line-height: 1.2; margin: 4px 0 8px; letter-spacing: -0.01em; }
h1 .verdict { white-space: normal; }
h2 { font-size: 18px; margin: 0 0 12px; letter-spacing: -0.005em; }
h3 { font-size: 14px; margin: 18px 0 6px; color: var(--muted); font-weight: 600; }
p { margin: 0 0 12px; max-width: 80ch; text-wrap: pretty; }
.eyebrow { color: var(--muted); margin: 0; }
.lead { font-size: 17px; }
.note { color: var(--muted); font-size: 14px; }
.missing { color: var(--muted); border-left: 3px solid var(--rule); padding-left: 12px; }
.warning { margin-top: 12px; border-left: 3px solid var(--accent); padding-left: 12px; }
section {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 22px 24px 18px; margin: 18px 0;
}
.columns { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px 36px; }
.verdict { font-weight: 650; white-space: nowrap; }
.passed { color: var(--good); } .failed { color: var(--bad); } .unmeasured { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 1px; margin: 18px 0 14px;
  background: var(--rule); border: 1px solid var(--rule); border-radius: 10px; overflow: hidden; }
.tile { background: var(--card); padding: 14px 18px; }
.tile b { display: block; font-size: 24px; font-weight: 600; line-height: 1.25; }
.tile span { color: var(--muted); font-size: 13px; display: block; }
.gates { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 4px; padding: 0; list-style: none; font-size: 14px; }
table { border-collapse: collapse; width: 100%; margin: 0 0 12px; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 13px; }
th, td { padding: 6px 18px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
tr > :last-child { padding-right: 0; overflow-wrap: anywhere; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
details { margin: 0 0 12px; } summary { color: var(--accent); cursor: pointer; padding: 4px 0; }
figure { margin: 0 0 14px; }
figcaption { color: var(--muted); font-size: 13px; overflow-wrap: anywhere; }
.chart svg { display: block; width: 100%; height: auto; }
.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; color: var(--muted); margin: 0 0 6px; }
.legend span { white-space: nowrap; }
.legend svg { vertical-align: -1px; }
.legend b { color: var(--text); font-weight: 600; }
svg text { font-size: 12px; fill: var(--muted); font-family: inherit; white-space: pre; }
svg .axis { font-weight: 600; }
svg .grid { stroke: var(--rule); } svg .ticks { stroke: var(--muted); stroke-opacity: 0.6; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke: var(--accent); }
svg .dot { fill: var(--accent); }
svg .line.series1 { stroke-dasharray: 7 3; stroke-opacity: 0.75; } svg .dot.series1 { fill-opacity: 0.75; }
svg .line.series2 { stroke: var(--muted); stroke-dasharray: 2 3; } svg .dot.series2 { fill: var(--muted); }
svg .line.series3 { stroke: var(--muted); stroke-width: 1.2; } svg .dot.series3 { fill: var(--muted); }
svg .mark { fill: var(--accent); stroke: var(--card); stroke-width: 2; }
svg .mark-label { fill: var(--text); font-weight: 600; }
svg .mark.quiet { fill: var(--card); fill-opacity: 1; stroke: var(--muted); }
svg .mark-label.quiet { fill: var(--muted); fill-opacity: 1; font-weight: 400; }
svg .guide { stroke: var(--text); stroke-dasharray: 4 4; stroke-opacity: 0.7; }
svg .limit { stroke: var(--text); stroke-width: 2; }
svg .leader { stroke: var(--muted); stroke-opacity: 0.6; }
svg .guide-label { fill: var(--text); }
svg .track { fill: var(--track); } svg .bar { fill: var(--accent); } svg .quiet { fill-opacity: 0.45; }
svg .bar-name { font-size: 13px; fill: var(--text); } svg .bar-note { font-size: 12px; fill: var(--muted); }
svg .bar-value { font-size: 13px; font-weight: 600; fill: var(--text); }
svg .whisker { stroke: var(--text); stroke-width: 1.5; fill: none; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 14px; }
.photos figure { margin: 0; } .photos img { display: block; width: 100%; height: auto; border-radius: 6px; }
footer { color: var(--muted); font-size: 13px; padding-bottom: 40px; }
@media (max-width: 860px) { .columns { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 560px) {
  header, main, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 20px; } h1 { font-size: 24px; }
  section { padding: 16px 14px 12px; margin: 12px 0; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } .tile { padding: 10px 12px; }
  .tile:last-child:nth-child(odd) { grid-column: span 2; } .tile b { font-size: 20px; }
  .wide { display: none; } .narrow { display: block; }
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  table, tbody { display: block; } tr { display: block; border-bottom: 1px solid var(--rule); padding: 7px 0; }
  tbody tr:last-child { border-bottom: 0; }
  td { display: inline-block; border: 0; padding: 0 14px 0 0; text-align: left; }
  td:first-child { display: block; font-weight: 600; } td:empty { display: none; }
  td[data-label]:not(:first-child)::before { content: attr(data-label) " "; color: var(--muted); font-size: 13px; }
}
@media print { section { break-inside: avoid; } body { background: none; } }
"""
