import { github } from './github.ts'
import { shopify } from './shopify.ts'
import { slack } from './slack.ts'
import { stripe } from './stripe.ts'

/** Senders as a builder could write them; none of them is shipped. */
export const moreSenders = [github, slack, stripe, shopify]
