import { expect, test } from 'vitest'
import { Html, html } from '../../src/http/html.ts'

test('escapes every character that could end a text or an attribute', () => {
  expect(html`<p title="${`"'<>&`}">${`"'<>&`}</p>`.text).toBe(
    '<p title="&quot;&#39;&lt;&gt;&amp;">&quot;&#39;&lt;&gt;&amp;</p>',
  )
})

test('escapes an ampersand once: text that looks escaped stays what it was', () => {
  expect(html`${'&lt;b&gt;'}`.text).toBe('&amp;lt;b&amp;gt;')
})

test('nests its own results, alone and in lists, without escaping them again', () => {
  const item = (name: string) => html`<li>${name}</li>`
  expect(html`<ul>${['<a>', 'b'].map(item)}</ul>${item('&')}`.text).toBe(
    '<ul><li>&lt;a&gt;</li><li>b</li></ul><li>&amp;</li>',
  )
})

test('shows nothing for null, undefined and false, and numbers as they are', () => {
  expect(html`[${null}${undefined}${false}${0}${-1.5}]`.text).toBe('[0-1.5]')
})

test('takes an object that merely looks like Html for no Html', () => {
  const fake = JSON.parse('{"text":"<script>"}') as Html
  expect(html`${fake}`.text).not.toContain('<script>')
  expect(html`${new Html('<b>')}`.text).toBe('<b>')
})
