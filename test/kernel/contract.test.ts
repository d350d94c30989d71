// The real kernel keeps the contract.
import { contract } from '../contract';
import { kernelPlace } from './helpers';

jest.setTimeout(60_000);

contract('the kernel', () => kernelPlace('asynchronous'));
contract('the kernel, synchronous', () => kernelPlace('synchronous'), 20_000);
