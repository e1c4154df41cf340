// A real OpenID Connect provider on loopback, for tests. Its one argument is JSON:
//   port            where to listen; 0 is any
//   redirectUrl     where the one client's browsers come back to
//   secret          the one client's secret
//   people          name -> claims, beside `sub` and `preferred_username`
//   inIdToken       claims are in the ID token, and not only told when they are asked for
//   shiftSeconds    how far its clock is ahead
//   idTokenSeconds  how long an ID token is good
// It prints {"issuer": "..."} when it listens, makes new keys at each start, and ends when its standard
// input does.

import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';

const asked = JSON.parse(process.argv[2]);
const now = Date.now;
Date.now = () => now() + (asked.shiftSeconds ?? 0) * 1000;
const { Provider } = await import('oidc-provider');

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

const server = createServer();
server.listen(asked.port ?? 0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'mesoscope',
        client_secret: asked.secret,
        redirect_uris: [asked.redirectUrl],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: `key-${now()}` }] },
    cookies: { keys: ['the cookies of a test'] },
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    conformIdTokenClaims: asked.inIdToken === false,
    pkce: { required: () => true },
    // Its own pages for signing in: any password is good.
    features: { devInteractions: { enabled: true } },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: asked.idTokenSeconds ?? 600, Interaction: 600, Session: 600, Grant: 600 },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, ...asked.people[id] }),
    }),
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
