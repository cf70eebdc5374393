export const FLAGS = { live: false, theme: 'dark' }
