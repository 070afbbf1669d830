import { github } from './github.ts'
import { shopify } from './shopify.ts'
import { slack } from './slack.ts'
import { stripe } from './stripe.ts'

/** What a builder could write; none is shipped. */
export const moreSenders = [github, slack, stripe, shopify]
