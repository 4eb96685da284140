"""The page's style: readable in light and dark, on a phone and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --soft: #5a5a5a; --line: #dcdcdc;
  --box: #f5f5f5; --good: #dff3e3; --bad: #fbe0de; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --soft: #a8a8a8;
  --line: #3a3d42; --box: #22252a; --good: #1d4028; --bad: #55221f; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 17px/1.55 system-ui, sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
figure { margin: 1.5rem 0; }
img { width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
figcaption, .by { color: var(--soft); font-size: 0.85rem; } .by { margin: 0.6rem 0 0.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.6rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
th { font-weight: 600; }
section { border: 1px solid var(--line); border-radius: 6px; padding: 0 0.9rem 0.7rem; margin: 1rem 0; }
.answer p { margin: 0.1rem 0; }
.part { display: inline-block; padding: 0 0.35rem; margin: 0.12rem 0; border-radius: 4px; }
.part small { color: var(--soft); margin-left: 0.35rem; }
.good { background: var(--good); } .bad { background: var(--bad); }
code, pre { font-family: ui-monospace, monospace; font-size: 0.85rem; }
pre { background: var(--box); padding: 0.6rem 0.8rem; border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: 0; }
"""
