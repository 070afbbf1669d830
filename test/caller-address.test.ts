import { expect, test } from 'vitest'
import { createCallerAddress } from '../src/caller-address.ts'

const of = (proxies: string[], peer: string | undefined, forwarded?: string) =>
  createCallerAddress(proxies)({
    socket: { remoteAddress: peer } as never,
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  })
const PROXIES = ['10.0.0.1', '10.1.0.0/16', 'fd00::/8']

test.each([
  ['a peer that is no proxy', '203.0.113.1', '198.51.100.7', '203.0.113.1'],
  ['a proxy that says nothing', '10.0.0.1', undefined, '10.0.0.1'],
  ['a proxy that says nothing in words', '10.0.0.1', '', '10.0.0.1'],
  ['one proxy', '10.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['a caller that makes up the left end', '10.0.0.1', '1.2.3.4, 198.51.100.7', '198.51.100.7'],
  ['two proxies', '10.0.0.1', '1.2.3.4, 198.51.100.7, 10.1.2.3', '198.51.100.7'],
  ['proxies only', '10.0.0.1', '10.1.2.3', '10.1.2.3'],
  ['a neighbour of the range', '10.2.0.1', '198.51.100.7', '10.2.0.1'],
  ['an IPv4 peer on an IPv6 socket', '::ffff:10.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['an IPv6 proxy', 'fd00::1', '2001:db8::1', '2001:db8::1'],
  ['another spelling of an IPv6 address', 'fd00::1', '2001:0DB8:0:0::1', '2001:db8::1'],
  ['a mapped address', 'fd00::1', '::ffff:198.51.100.7', '198.51.100.7'],
  ['no address', '10.0.0.1', 'unknown', undefined],
  ['an address with a port', '10.0.0.1', '198.51.100.7:4711', undefined],
  ['nonsense behind an address', '10.0.0.1', '198.51.100.7, ', undefined],
  ['a script', '10.0.0.1', '<script>', undefined],
  ['no peer', undefined, '198.51.100.7', undefined],
])('%s', (_, peer, forwarded, expected) => {
  expect(of(PROXIES, peer, forwarded)).toBe(expected)
})

test('without configured proxies nobody is believed', () => {
  for (const peer of ['127.0.0.1', '10.0.0.1', '::1']) expect(of([], peer, '198.51.100.7')).toBe(peer)
})
