/** These stand in a file that needs no test runner, because commands sign with them too. */
export const WEBHOOK_SECRET = 'whsec_test_0123456789abcdef'
export const CLIENT_SECRET = 'client-secret-for-tests'
