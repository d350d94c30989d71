// `ipvs lab` without the rest of the command: node scripts/lab.mjs [--mem 2G] [--where-possible] [-- command …]
import lab from '../dist/lab.js';

process.exitCode = await lab.labCommand(process.argv.slice(2));
