import { openRevento } from '../../builder/open-revento.ts'

/** Prints how many participants each connected event has. Type: npx node src/integration/scripts/participants.ts [EVENT] */
await openRevento(async revento => {
  const [only] = process.argv.slice(2)
  const connections = await revento.connections()
  const asked = connections.filter(({ eventId }) => only === undefined || eventId === only)
  if (only !== undefined && asked.length === 0) await revento.event(only)
  for (const { eventId, organizationId } of asked) {
    const { api } = await revento.event(eventId, organizationId)
    const people = await Array.fromAsync(api.allParticipants())
    process.stdout.write(`${eventId} of ${organizationId}: ${people.length}\n`)
  }
})
