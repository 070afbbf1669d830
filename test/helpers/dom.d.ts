/** The names that playwright-core's types take from the DOM library, which nothing else here should see. */
type Node = object
type HTMLElement = object
type SVGElement = object
type HTMLElementTagNameMap = Record<string, object>
