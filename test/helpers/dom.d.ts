/** The names that playwright-core's types take from the DOM library, which nothing else here should see. */
type Node = {}
type HTMLElement = {}
type SVGElement = {}
type HTMLElementTagNameMap = {}
