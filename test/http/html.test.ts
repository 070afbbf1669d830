import { expect, test } from 'vitest'
import { Html, html } from '../../src/http/html.ts'

test('html escapes every character that could end a text or an attribute', () => {
  expect(html`<p title="${`"'<>&`}">${`"'<>&`}</p>`.text).toBe(
    '<p title="&quot;&#39;&lt;&gt;&amp;">&quot;&#39;&lt;&gt;&amp;</p>',
  )
})

test('html escapes an ampersand once: text that looks escaped stays what it was', () => {
  expect(html`${'&lt;b&gt;'}`.text).toBe('&amp;lt;b&amp;gt;')
})

test('html nests its own results, alone and in lists, without escaping them again', () => {
  const item = (name: string) => html`<li>${name}</li>`
  expect(html`<ul>${['<a>', 'b'].map(item)}</ul>${item('&')}`.text).toBe(
    '<ul><li>&lt;a&gt;</li><li>b</li></ul><li>&amp;</li>',
  )
})

test('html shows nothing for null, undefined and false, and numbers as they are', () => {
  expect(html`[${null}${undefined}${false}${0}${-1.5}]`.text).toBe('[0-1.5]')
})

test('html escapes an object that merely looks like Html', () => {
  const fake = JSON.parse('{"text":"<script>"}') as Html
  expect(html`${fake}`.text).not.toContain('<script>')
  expect(html`${new Html('<b>')}`.text).toBe('<b>')
})
