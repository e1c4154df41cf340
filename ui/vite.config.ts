import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// Where `npm run dev` finds an aggregator.
const aggregator = process.env.MESOSCOPE_URL ?? 'http://127.0.0.1:4040';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // The content security policy has no data: addresses, so nothing may be inlined.
    assetsInlineLimit: 0,
    // A module preload helper would be an extra script; browsers that run this page have it.
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    proxy: { '/api': { target: aggregator, ws: true, changeOrigin: true } },
  },
});
