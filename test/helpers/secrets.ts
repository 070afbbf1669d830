/** Apart from the helpers that need a test runner: commands sign with these too. */
export const WEBHOOK_SECRET = 'whsec_test_0123456789abcdef'
export const CLIENT_SECRET = 'client-secret-for-tests'
