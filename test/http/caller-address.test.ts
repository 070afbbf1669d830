import { expect, test } from 'vitest'
import { createCallerAddress } from '../../src/http/caller-address.ts'

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
  ['a mapped address in hex', 'fd00::1', '::FFFF:c633:6407', '198.51.100.7'],
  ['a mapped address written out', 'fd00::1', '0:0:0:0:0:ffff:198.51.100.7', '198.51.100.7'],
  ['a peer that is mapped in hex', '::ffff:a00:1', '198.51.100.7', '198.51.100.7'],
  ['an address with a port', '10.0.0.1', '198.51.100.7:4711', '198.51.100.7'],
  ['a proxy with a port', '10.0.0.1', '198.51.100.7:4711, 10.1.2.3:80', '198.51.100.7'],
  ['an address in brackets', '10.0.0.1', '[2001:DB8::7]', '2001:db8::7'],
  ['an address in brackets with a port', '10.0.0.1', '[2001:db8:0::7]:443', '2001:db8::7'],
  ['a mapped address in brackets', '10.0.0.1', '[::ffff:198.51.100.7]:443', '198.51.100.7'],
  ['an address with a zone', '10.0.0.1', 'fe80::7%eth0', 'fe80::7'],
  ['a peer with a zone', 'fe80::7%2', '198.51.100.7', 'fe80::7'],
  ['no address: the proxy', '10.0.0.1', 'unknown', '10.0.0.1'],
  ['no address from the second proxy: that one', '10.0.0.1', '1.2.3.4, unknown, 10.1.2.3', '10.1.2.3'],
  ['nothing behind an address: the proxy', '10.0.0.1', '198.51.100.7, ', '10.0.0.1'],
  ['a script', '10.0.0.1', '<script>', '10.0.0.1'],
  ['a port of six digits', '10.0.0.1', '198.51.100.7:123456', '10.0.0.1'],
  ['an address with zeros before its numbers', '10.0.0.1', '198.051.100.007', '10.0.0.1'],
  ['no peer', undefined, '198.51.100.7', undefined],
])('the caller’s address is that of the last hop that is no proxy: %s', (_, peer, forwarded, expected) => {
  expect(of(PROXIES, peer, forwarded)).toBe(expected)
})

test('without configured proxies nobody is believed', () => {
  for (const peer of ['127.0.0.1', '10.0.0.1', '::1']) expect(of([], peer, '198.51.100.7')).toBe(peer)
})
