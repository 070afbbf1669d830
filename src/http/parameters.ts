import type { FastifyRequest } from 'fastify'

/** The query of a request; undefined for a repeated name, a broken percent sign, and bytes that are not UTF-8. */
export function singleParameters(request: FastifyRequest): URLSearchParams | undefined {
  const [, query = ''] = /\?(.*)$/s.exec(request.url) ?? []
  if (/%(?![0-9A-Fa-f]{2})/.test(query)) return undefined
  const parameters = new URLSearchParams(query)
  const names = [...parameters.keys()]
  if (new Set(names).size !== names.length) return undefined
  return [...names, ...parameters.values()].some(text => text.includes('\uFFFD')) ? undefined : parameters
}

/** Whether the Accept header ranks HTML above JSON, as browsers do and scripts do not. */
export function prefersHtml(request: FastifyRequest): boolean {
  const accept = request.headers.accept ?? ''
  return (
    quality(accept, ['text/html', 'text/*']) > quality(accept, ['application/json', 'application/*', '*/*'])
  )
}

/** The highest q (RFC 9110 section 12.4.2) given to any of the ranges. */
function quality(accept: string, ranges: readonly string[]): number {
  const given = accept.split(',').map(part => {
    const [range = '', ...parameters] = part.split(';').map(text => text.trim().toLowerCase())
    const q = parameters.find(p => p.startsWith('q='))?.slice(2)
    const weight = q === undefined ? 1 : Number(q)
    return ranges.includes(range) && weight <= 1 ? weight : 0
  })
  return Math.max(0, ...given)
}
