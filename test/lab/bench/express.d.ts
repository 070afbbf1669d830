/** What the peer uses of it; the package brings no types. */
declare module 'express' {
  import type { IncomingMessage, Server } from 'node:http'

  interface Response {
    status(code: number): Response
    send(body: string): void
  }
  type Handler = (request: IncomingMessage & { body: Buffer }, response: Response) => void
  interface App {
    post(path: string, ...handlers: Handler[]): void
    listen(port: number, host: string): Server
  }
  const express: { (): App; raw(options: { type: string }): Handler }
  export default express
}
