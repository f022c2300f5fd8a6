import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { I18nProvider } from 'react-aria-components';
import { createRoot } from 'react-dom/client';
import { makeQueryClient } from './api/queries';
import { makeRouter } from './app/router';
import { LOCALE } from './lib/format';
import './ui/tokens.css';
import './ui/base.css';
import './ui/controls.css';
import './ui/parts.css';
import './ui/forms.css';

const element = document.getElementById('root');
if (element === null) throw new Error('index.html has no #root');

createRoot(element).render(
  <StrictMode>
    <I18nProvider locale={LOCALE}>
      <QueryClientProvider client={makeQueryClient()}>
        <RouterProvider router={makeRouter()} />
      </QueryClientProvider>
    </I18nProvider>
  </StrictMode>,
);
